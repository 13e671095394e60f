"""A dry run of each changing task writes nothing but scratch: watched by strace, compared before and after."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops import tasks
from ops.kernel import exits
from ops.kernel.lock import FileLock
from ops.kernel.task import READ
from tests.conftest import require
from tests.support import sshd, traced
from tests.support.project import Project, clean_variables, place, project

COLLECTION = tasks.collection()
READING = sorted(name for name in COLLECTION.task_names if COLLECTION[name].level is READ)
CHANGING = sorted(name for name in COLLECTION.task_names if COLLECTION[name].level is not READ)


@dataclass(frozen=True)
class Example:
    """How a task is called so that it has something to do.

    Args:
        words: Arguments beside `--dry-run`; `{env}`, `{run}` and `{backup}` are filled in.
        prepare: A real run that comes before.
        locked: Whether another process holds the environment's lock.
        below: Folder to be in, below the repository.
        variables: Of the command.
        docker: Whether it is about containers, so that an engine must answer.
    """

    words: tuple[str, ...] = ("--env", "{env}")
    prepare: tuple[str, ...] = ()
    locked: bool = False
    below: str = "."
    variables: tuple[tuple[str, str], ...] = ()
    docker: bool = False


EXAMPLES = {
    "backup.create": Example(),
    "backup.key": Example(),
    "backup.prune": Example(),
    "backup.restore": Example(("--env", "{env}", "--id", "{backup}")),
    "backup.verify": Example(),
    "db.extensions": Example(),
    "db.init": Example(),
    "db.migrate": Example(),
    "deploy.run": Example(),
    "exec": Example(("--env", "boxes", "--", "true"), docker=True),
    "init": Example((), below="../bare"),
    "lock.release": Example(locked=True),
    "maintenance.cleanup": Example(),
    "maintenance.off": Example(("--env", "boxes"), docker=True),
    "maintenance.on": Example(("--env", "boxes"), docker=True),
    "maintenance.optimize": Example(),
    "rollback": Example(),
    "runs.resume": Example(("{run}",)),
    "runs.undo": Example(("{run}",)),
    "setup.development": Example(("--env", "development")),
    "setup.server": Example(("--env", "staging", "--host", "{server}"), below="../server"),
    "start": Example(prepare=("stop",)),
    "stop": Example(prepare=("start",)),
    "test": Example((), variables=(("CI", "false"),)),
}
"""One for each changing task: a new task needs one here."""


DATA = """[backup]
keep_last = 1
keep_daily = 0
keep_weekly = 0
keep_monthly = 0

[cleanup.orders]
table = "orders"
column = "at"
keep = "30d"

"""


SERVER = """[app]
name = "shop"
default_environment = "staging"

[environments.staging]
target = "compose"
hosts = ["{0.address}"]
ssh_key = "file:{0.key}"
host_keys = {{ "{0.name}" = "{0.fingerprint}" }}
"""


@dataclass(frozen=True)
class Deployed:
    """A project with two releases, backups, old rows, a pending migration and a deploy that was killed."""

    made: Project
    run: str
    backup: str
    server: str

    def fill(self, words: tuple[str, ...]) -> list[str]:
        env = self.made.environment
        known = {"env": env, "run": self.run, "backup": self.backup, "server": self.server}
        return [word.format(**known) for word in words]


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    require("haproxy", "haproxy", "/usr/sbin")
    require("strace", "strace")
    require("pg_ctl", "postgresql", "/usr/lib/postgresql/*/bin")
    with place() as home, project("tiny", home) as tiny, sshd.running() as server:
        tiny.put("../server/ops.toml", SERVER.format(server))
        tiny.put("../bare/requirements.txt", "flask\n")
        tiny.edit(
            "ops.toml",
            "[environments.",
            f'{DATA}[environments.development]\ntarget = "local"\n\n'
            f'[environments.boxes]\ntarget = "compose"\nbase_folder = "{home}/boxes"\n\n'
            "[environments.",
        )
        # What a deploy of containers leaves on a host.
        boxes = home / "boxes"
        boxes.mkdir(mode=0o700)
        (boxes / "model.json").write_text(
            json.dumps({"name": "tiny-boxes", "services": {"web-blue": {"image": "tiny"}}})
        )
        for _ in range(2):
            tiny.commit()
            tiny.deployed()
            tiny.put(
                "db/2_at.sql",
                "ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT '2020-01-01';\n",
            )
        for _ in range(2):
            assert tiny.run("backup").code == 0
        tiny.put("db/3_more.sql", "CREATE TABLE more (a int);\n")
        tiny.commit()
        tiny.program = [sys.executable, "-m", "tests.faults.run"]
        killed = tiny.run("deploy", FAULT="kill:step.acted:checkout")
        assert killed.code < 0, killed.text
        tiny.program = [sys.executable, "-m", "ops.program"]
        runs = tiny.json("runs.list")["runs"]
        backups = tiny.json("backup.list")["backups"]
        yield Deployed(tiny, str(runs[0]["id"]), str(backups[0]["id"]), server.address)


@contextlib.contextmanager
def held(made: Project, wanted: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if wanted:
            stack.enter_context(FileLock(made.own / "lock").hold("deploy", "anna@laptop"))
        yield


def seen(made: Project) -> tuple[dict[str, str], object]:
    """Return what a dry run must leave as it is; logs and data of what runs meanwhile are theirs."""
    files = traced.snapshot(
        made.folder.parent, made.base, without=("postgres", "logs", "run", "sockets")
    )
    tables = (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    )
    with contextlib.suppress(psycopg.OperationalError):  # it does not run
        return files, (made.query(tables), made.processes())
    return files, made.processes()


def allowed(change: traced.Change, temporary: Path, made: Project) -> bool:
    """Say whether a dry run may do this: scratch, its own record, questions to what runs."""
    if change.call == "connect" or not change.paths:
        return True
    places = (str(temporary), "/dev/", "/proc/self/", str(made.folder / ".ops"))
    return all(path.startswith(places) for path in change.paths)


def test_each_changing_task_has_an_example() -> None:
    assert sorted(EXAMPLES) == CHANGING


def _unmeasured() -> dict[str, str]:
    """Return variables without those by which coverage writes its data from children: that would be a change."""
    return {
        name: value for name, value in clean_variables().items() if not name.startswith("COVERAGE_")
    }


@pytest.mark.parametrize("name", CHANGING)
def test_a_dry_run_changes_nothing(
    deployed: Deployed, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    example, made = EXAMPLES[name], deployed.made
    if example.docker:
        request.getfixturevalue("docker_engine")
    if example.prepare:
        ran = made.run(*example.prepare)
        assert ran.code == 0, ran.text
    temporary, output = tmp_path / "tmp", tmp_path / "strace"
    temporary.mkdir()
    with held(made, example.locked):
        before = seen(made)
        ran_dry = subprocess.run(
            [*traced.command(output), *made.program, name, "--dry-run", *deployed.fill(example.words)],
            cwd=made.folder / example.below, capture_output=True, text=True, check=False, timeout=120,
            env={**_unmeasured(), "OPS_HOME": str(made.base), "TMPDIR": str(temporary),
                 "PYTHONDONTWRITEBYTECODE": "1", **dict(example.variables)},
        )  # fmt: skip
        after = seen(made)
    assert ran_dry.returncode == exits.DRY_RUN, ran_dry.stdout + ran_dry.stderr
    assert after == before
    wrong = [each.line for each in traced.changes(output) if not allowed(each, temporary, made)]
    assert not wrong, "\n".join(wrong)
    assert list(temporary.iterdir()) == [], "scratch is gone"


@pytest.mark.parametrize("name", READING)
def test_each_reading_task_works_in_a_new_process(deployed: Deployed, name: str) -> None:
    """It imports by itself what it needs: most tests run commands where all is imported already."""
    made = deployed.made
    words = [deployed.run] if name == "runs.show" else []
    ran = subprocess.run(
        [*made.program, name, *words, "--env", made.environment, "--format", "json"],
        cwd=made.folder, capture_output=True, text=True, check=False, timeout=120,
        env={**clean_variables(), "OPS_HOME": str(made.base)},
    )  # fmt: skip
    assert "Traceback" not in ran.stderr and "unexpected error" not in ran.stdout + ran.stderr, ran
    forked = made.run(name, *words, "--format", "json")
    assert (ran.returncode, bool(ran.stdout)) == (forked.code, True), ran.stderr
