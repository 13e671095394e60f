"""`inv test`: what the tests need from the system, then every nox session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops import bootstrap
from ops.kernel import exits, guard
from ops.kernel.errors import ConfigurationError, DependencyError

SESSIONS = ("lint", "types", "tests", "integration", "faults", "coverage")
# Debian package: a program of it, and folders beside PATH where Debian keeps such programs.
PACKAGES = {
    "age": ("age",),
    "git": ("git",),
    "haproxy": ("haproxy", "/usr/sbin"),
    "mariadb-server": ("mariadbd", "/usr/sbin"),
    "openssh-client": ("ssh-keygen",),
    "postgresql": ("initdb", "/usr/lib/postgresql/*/bin"),
    "strace": ("strace",),
    "zstd": ("zstd",),
}
# Runs a command with the terminal's own input and output; returns its exit code.
Execute = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Preparation:
    """What will be run, in order.

    Args:
        missing: Debian packages that the tests need and this machine lacks.
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
    missing = missing_packages()
    commands = install_commands(missing) if install and missing else []
    return Preparation(missing, commands, tuple(sessions) or SESSIONS)


def missing_packages() -> list[str]:
    """Return the Debian packages that the tests need and this machine lacks."""
    return [name for name, (program, *folders) in PACKAGES.items() if not _found(program, folders)]


def install_commands(packages: Sequence[str]) -> list[list[str]]:
    """Return the commands that install Debian packages, through sudo when we are not root.

    Raises:
        DependencyError: There is no apt-get, or neither root nor sudo.
    """
    names = " ".join(packages)
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
            hint=f"as root: apt-get install {names}",
        )
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    return [
        [*prefix, *apt, "update"],
        [*prefix, *apt, "install", "--no-install-recommends", *packages],
    ]


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
            f"some tests will fail: they need {names}: inv test --install, or apt-get install {names}"
        )
    guard.effect("make the environment of nox")
    try:
        python = bootstrap.prepare(bootstrap.PROJECT, "requirements/nox.txt")
    except bootstrap.Unprepared as error:
        raise DependencyError("nox cannot be installed", why=str(error)) from error
    return execute(nox_command(python, preparation.sessions))


def nox_command(python: str, sessions: Sequence[str]) -> list[str]:
    """Return the command that runs nox sessions of this project from any folder."""
    return [python, "-m", "nox", "-f", str(Path(bootstrap.PROJECT) / "noxfile.py"), "-s", *sessions]


def _found(program: str, folders: Sequence[str]) -> bool:
    if shutil.which(program):
        return True
    root = Path("/")
    return any(any(root.glob(f"{folder[1:]}/{program}")) for folder in folders)
