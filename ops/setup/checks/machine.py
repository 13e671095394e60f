"""What the machine has: Python, git, tools, disk, the service user."""

from __future__ import annotations

import importlib.util
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.database.server import Server
from ops.deploy import preflight
from ops.hosts import access, interpreter, runner, tools
from ops.hosts.supervisor import Daemon
from ops.kernel import exits
from ops.kernel.errors import DependencyError, OpsError
from ops.setup.checks import packages
from ops.setup.checks.result import Machine, Result

_PLENTY = 3 * preflight.MINIMUM_FREE
_NODE = ("npm", "npx", "node")


def python(machine: Machine) -> Iterator[Result]:
    """The Python of this program, and the one that services get."""
    own = platform.python_version()
    if sys.version_info[:2] < interpreter.OLDEST:
        oldest = ".".join(map(str, interpreter.OLDEST))
        yield Result(
            "Python",
            "wrong",
            f"{own}, {oldest} is needed",
            packages.install("python"),
            exits.DEPENDENCY,
        )
        return
    try:
        used = interpreter.find(machine.account)
    except DependencyError as error:
        yield Result("Python", "missing", str(error), packages.install("python"), exits.DEPENDENCY)
        return
    yield Result("Python", "ok", f"{own}, services use {used}")
    there = importlib.util.find_spec("venv") is not None
    if used != Path(sys.executable):
        there = runner.probe([str(used), "-I", "-c", "import venv; print(1)"], seconds=2) == "1"
    if there:
        yield Result("Python venv", "ok", "can make virtual environments")
    else:
        yield Result(
            "Python venv",
            "missing",
            f"{used} has no module venv",
            packages.install("venv"),
            exits.DEPENDENCY,
        )


def git(machine: Machine) -> Iterator[Result]:
    """The program, and the state of the repository."""
    program = shutil.which("git")
    if program is None:
        yield Result("git", "missing", "not on PATH", packages.install("git"), exits.DEPENDENCY)
        return
    folder = machine.settings.folder
    version = tools.version(Path(program))
    inside = _git(machine, "rev-parse", "--is-inside-work-tree")
    if "dubious ownership" in inside.stderr:
        command = f"git config --global --add safe.directory {shlex.quote(str(folder))}"
        yield Result(
            "git",
            "wrong",
            f"{version}; {folder} belongs to another user",
            command,
            exits.DEPENDENCY,
        )
    elif inside.stdout.strip() != "true":
        command = "git init && git add -A && git commit -m first"
        yield Result(
            "git", "warning", f"{version}; {folder} is no repository, a deploy needs one", command
        )
    elif _git(machine, "rev-parse", "--verify", "--quiet", "HEAD").code != 0:
        command = "git add -A && git commit -m first"
        yield Result("git", "warning", f"{version}; no commit yet, a deploy needs one", command)
    else:
        branch = _git(machine, "rev-parse", "--abbrev-ref", "HEAD").stdout.strip()
        changed = len(
            _git(machine, "status", "--porcelain", "--untracked-files=normal").stdout.splitlines()
        )
        state = f"{changed} not committed" if changed else "clean"
        yield Result("git", "ok", f"{version}; branch {branch}, {state}")


def needed(machine: Machine) -> list[str]:
    """Return the kits that the application needs, for a deploy and for development."""
    names = preflight.needed_tools(machine.settings)
    commands = [each.development.split()[:1] for each in machine.settings.services.values()]
    if "node" not in names and any(words[0] in _NODE for words in commands if words):
        names.append("node")
    return names


def programs(machine: Machine) -> Iterator[Result]:
    """PostgreSQL, HAProxy and Node where the application uses them, and programs of its builds."""
    for name in needed(machine):
        kit = tools.KITS[name]
        try:
            path = _find(machine, name)
        except DependencyError as error:
            # Data of another major version: no wheel helps.
            yield Result(
                kit.title,
                "wrong",
                str(error),
                error.hint or packages.install(name),
                exits.DEPENDENCY,
            )
            continue
        if path is not None:
            source = "from a wheel" if path.is_relative_to(machine.home.tools) else str(path)
            yield Result(kit.title, "ok", f"{tools.version(path)}, {source}")
        elif _has_wheels():
            found = f"not here; the first deploy brings it from the wheel {kit.wheel}"
            yield Result(kit.title, "ok", found)
        else:
            found = f"not here, and there is no wheel for {platform.machine()} with this C library"
            yield Result(kit.title, "missing", found, packages.install(name), exits.DEPENDENCY)
    yield from _of_builds(machine)


def disk(machine: Machine) -> Iterator[Result]:
    """Free space where everything is installed."""
    place = next(each for each in (machine.home.path, *machine.home.path.parents) if each.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free < preflight.MINIMUM_FREE:
        yield Result(
            "disk",
            "missing",
            f"{found}, 1 GB is needed",
            f"df -h {shlex.quote(str(place))}",
            exits.DEPENDENCY,
        )
    elif free < _PLENTY:
        yield Result(
            "disk",
            "warning",
            f"{found}, releases need more over time",
            f"df -h {shlex.quote(str(place))}",
        )
    else:
        yield Result("disk", "ok", found)


def service_user(machine: Machine) -> Iterator[Result]:
    """As root, services run as an unprivileged user that must be able to enter the home."""
    user = machine.account
    if user is None:
        return
    blocked = (
        access.blocked_at(machine.home.path / "any", user.owner)
        if machine.home.path.exists()
        else None
    )
    if blocked is not None:
        found = f"{user.name} cannot enter {blocked}"
        yield Result(
            "service user", "wrong", found, "export OPS_HOME=/srv/invops", exits.CONFIGURATION
        )
    elif user.exists:
        yield Result("service user", "ok", f"{user.name} ({user.uid})")
    elif shutil.which("useradd"):
        yield Result("service user", "ok", f"the first deploy makes {user.name}")
    else:
        yield Result(
            "service user",
            "missing",
            "no useradd to make it with",
            packages.install("useradd"),
            exits.DEPENDENCY,
        )


def _git(machine: Machine, *words: str) -> runner.Result:
    argv = ["git", "-c", "core.fsmonitor=false", *words]
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    return runner.run(
        machine.context,
        argv,
        reads=True,
        cwd=machine.settings.folder,
        environment=quiet,
        check=False,
    )


def _find(machine: Machine, name: str) -> Path | None:
    if name == "postgres" and (machine.home.postgres / "data").is_dir():
        daemon = Daemon(machine.context, machine.home, machine.account)
        return Server(machine.context, machine.home, daemon, machine.account).tool("postgres")
    return tools.find(machine.home, name)


def _has_wheels() -> bool:
    """Say whether the lock has wheels for this machine: macOS, and Linux with glibc."""
    known = platform.machine() in ("x86_64", "aarch64", "arm64")
    return known and (sys.platform == "darwin" or platform.libc_ver()[0] == "glibc")


def _of_builds(machine: Machine) -> Iterator[Result]:
    """Programs of build commands and hooks that no wheel and no Python package brings."""
    settings = machine.settings
    commands = [each for service in settings.services.values() for each in service.build]
    for _, hooks in settings.hooks:
        commands += hooks
    first = dict.fromkeys(shlex.split(each)[0] for each in commands)
    for name in first:
        known = (
            name in _NODE or "/" in name or name.startswith("python") or name in _required(machine)
        )
        if not known and shutil.which(name) is None:
            yield Result(
                name,
                "missing",
                "a build or a hook uses it, not on PATH",
                packages.install(name),
                exits.DEPENDENCY,
            )


def _required(machine: Machine) -> set[str]:
    """Return the names in the lock file: their programs usually have the same."""
    python = machine.settings.python
    if python is None:
        return set()
    try:
        text = (machine.settings.app_folder / python.requirements).read_text(errors="replace")
    except OSError as error:
        raise OpsError("cannot read the requirements", why=str(error.strerror)) from error
    return {
        line.partition("==")[0].strip().partition("[")[0]
        for line in text.splitlines()
        if "==" in line
    }
