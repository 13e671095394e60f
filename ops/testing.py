"""`inv test`: what the tests need from the system, then every nox session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops import bootstrap
from ops.kernel import exits, guard
from ops.kernel.errors import ConfigurationError, DependencyError

SESSIONS = ("lint", "types", "tests", "integration", "faults", "coverage")
# Debian package: a program or file of it, and folders beside PATH where Debian keeps such programs.
PACKAGES = {
    "age": ("age",),
    "debian-archive-keyring": ("debian-archive-keyring.gpg", "/usr/share/keyrings"),
    "docker.io": ("dockerd", "/usr/sbin"),
    "git": ("git",),
    "haproxy": ("haproxy", "/usr/sbin"),
    "mariadb-server": ("mariadbd", "/usr/sbin"),
    "mmdebstrap": ("mmdebstrap",),
    "openssh-client": ("ssh-keygen",),
    "openssh-server": ("sshd", "/usr/sbin"),
    "postgresql": ("initdb", "/usr/lib/postgresql/*/bin"),
    "strace": ("strace",),
    "zstd": ("zstd",),
}
# Docker's plug-ins: Debian 12 has none, so they come by a script of their own.
PLUGINS = ("docker-buildx", "docker-compose")
PLUGIN_FOLDERS = ("~/.docker", "/usr/local/lib/docker", "/usr/lib/docker", "/usr/libexec/docker")
PLUGIN_SCRIPT = "tests/support/docker/plugins.sh"
# Runs a command with the terminal's own input and output; returns its exit code.
Execute = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Preparation:
    """What will be run, in order.

    Args:
        missing: Debian packages and plug-ins of Docker that the tests need and this machine lacks.
        commands: Commands that install them; empty when nothing is to be installed.
        sessions: Names of the nox sessions.
    """

    missing: Sequence[str]
    commands: Sequence[Sequence[str]]
    sessions: Sequence[str]


def prepare(*, install: bool, sessions: Sequence[str]) -> Preparation:
    """Look at the machine and say what a run of the tests will do.

    Args:
        install: Whether to install the packages that are missing.
        sessions: nox sessions, all of `SESSIONS` when empty.

    Raises:
        ConfigurationError: This is an installed invops, without its tests.
        DependencyError: Packages are to be installed and cannot be.
    """
    if not (Path(bootstrap.PROJECT) / "noxfile.py").exists():
        raise ConfigurationError(
            "the tests of invops are in its repository only",
            hint="clone the repository and run ./inv test there",
        )
    missing = [*missing_packages(), *missing_plugins()]
    commands = install_commands(missing) if install and missing else []
    return Preparation(missing, commands, tuple(sessions) or SESSIONS)


def missing_packages() -> list[str]:
    """Return the Debian packages that the tests need and this machine lacks."""
    return [name for name, (program, *folders) in PACKAGES.items() if not _found(program, folders)]


def missing_plugins() -> list[str]:
    """Return the plug-ins of Docker that the tests need and this machine lacks."""
    folders = [Path(folder).expanduser() / "cli-plugins" for folder in PLUGIN_FOLDERS]
    return [name for name in PLUGINS if not any((folder / name).exists() for folder in folders)]


def by_hand(missing: Sequence[str]) -> str:
    """Return what root would type to install what is missing."""
    packages = [name for name in missing if name not in PLUGINS]
    commands = [f"apt-get install {' '.join(packages)}"] if packages else []
    if len(packages) < len(missing):
        commands.append(str(Path(bootstrap.PROJECT) / PLUGIN_SCRIPT))
    return " && ".join(commands)


def install_commands(missing: Sequence[str]) -> list[list[str]]:
    """Return the commands that install what is missing, through sudo when we are not root.

    Raises:
        DependencyError: There is no apt-get, or neither root nor sudo.
    """
    names = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise DependencyError(
            f"the tests need {names}",
            why="there is no apt-get to install them with",
            hint="install them with this system's package manager, then: inv test",
        )
    if os.geteuid() != 0 and shutil.which("sudo") is None:
        raise DependencyError(
            f"the tests need {names}",
            why="neither root nor sudo is here to install them",
            hint=f"as root: {by_hand(missing)}",
        )
    packages = [name for name in missing if name not in PLUGINS]
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    commands = [[*apt, "update"]]
    if packages:
        commands.append([*apt, "install", "--no-install-recommends", *packages])
    if len(packages) < len(missing):
        commands.append([str(Path(bootstrap.PROJECT) / PLUGIN_SCRIPT)])
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    return [[*prefix, *command] for command in commands]


def run(preparation: Preparation, *, announce: Callable[[str], None], execute: Execute) -> int:
    """Install what is missing, then run the sessions with the output going straight to the user.

    Args:
        preparation: What `prepare` found.
        announce: Tells the user what happens next.
        execute: Runs a command and returns its exit code.

    Returns:
        nox's exit code.

    Raises:
        DependencyError: A package could not be installed, or the environment of nox not be made.
    """
    for command in preparation.commands:
        announce(" ".join(command))
        if execute(command) != exits.OK:
            raise DependencyError(
                f"cannot install {' '.join(preparation.missing)}",
                why=f"{' '.join(command)} failed",
                hint="see its output above",
            )
    if preparation.missing and not preparation.commands:
        names = " ".join(preparation.missing)
        announce(
            f"some tests will fail: they need {names}: inv test --install, or as root: "
            f"{by_hand(preparation.missing)}"
        )
    guard.effect("make the environment of nox")
    try:
        python = bootstrap.prepare(bootstrap.PROJECT, "requirements/nox.txt")
    except bootstrap.Unprepared as error:
        raise DependencyError("nox cannot be installed", why=str(error)) from error
    return execute(nox_command(python, preparation.sessions))


def failed() -> list[str]:
    """Return the tests that failed when they last ran, as pytest keeps them: their output is far above."""
    kept = Path(bootstrap.PROJECT) / ".pytest_cache" / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def nox_command(python: str, sessions: Sequence[str]) -> list[str]:
    """Return the command that runs nox sessions of this project from any folder."""
    return [python, "-m", "nox", "-f", str(Path(bootstrap.PROJECT) / "noxfile.py"), "-s", *sessions]


def _found(program: str, folders: Sequence[str]) -> bool:
    if shutil.which(program):
        return True
    root = Path("/")
    return any(any(root.glob(f"{folder[1:]}/{program}")) for folder in folders)
