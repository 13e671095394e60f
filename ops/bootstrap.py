"""Prepares the virtual environment of the project and hands over to it; `./inv` starts it.

Standard library only, and the usual start imports nothing but `os`, `sys` and `hashlib`: it runs
before each command. An environment is `.venv/<hash of the lock>-<Python version>`. It is built in
place, because its scripts hold their own absolute path, and is complete when its marker, written
last, holds that path. A lock of the system (flock) makes two starts at once safe; what an
interrupted start left has no marker and is built again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import subprocess

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = "requirements/invops.txt"
MARKER = ".complete"
# What pip prints when it cannot reach the index, as the person should read it.
UNREACHABLE = (
    ("Name or service not known", "its name cannot be resolved"),
    ("name resolution", "its name cannot be resolved"),
    ("NameResolutionError", "its name cannot be resolved"),
    ("Connection refused", "connection refused"),
    ("Network is unreachable", "the network is unreachable"),
    ("ProxyError", "the proxy does not answer"),
    ("Timeout", "no answer"),
    ("timed out", "no answer"),
    ("SSLError", "its certificate is not trusted"),
    ("NewConnectionError", "no connection"),
    ("Could not fetch URL", "no connection"),
)


class Unprepared(Exception):
    """The environment cannot be prepared; the text says why and what to do, in one line."""


def main(arguments: list[str]) -> NoReturn:
    """Prepare the environment, then become the program in it."""
    try:
        if not _on_path("git"):
            raise Unprepared(f"git is needed, none is on PATH: {_install('git')}")
        python = prepare(PROJECT, LOCK)
    except Unprepared as error:
        _say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _say("interrupted: the next start begins again")
        sys.exit(130)
    if not _inside(PROJECT):
        os.chdir(PROJECT)
    # -P: a module of the working folder must not replace one of ours.
    os.execv(python, [python, "-P", "-m", "ops.program", *arguments])


def prepare(project: str, lock: str) -> str:
    """Make the environment of a lock file unless it is complete.

    Args:
        project: Folder of the project; its code can be imported in the environment.
        lock: Lock file with hashes, relative to the project.

    Returns:
        The environment's Python.

    Raises:
        Unprepared: Something that it needs is missing.
    """
    folder = os.path.join(project, ".venv", _name(os.path.join(project, lock)))
    if not _complete(folder):
        try:
            _prepare_alone(folder, project, lock)
        except OSError as error:
            raise Unprepared(
                f"cannot write to {error.filename or folder}: {error.strerror}:"
                " use a copy of the project in a folder that is yours and has space"
            ) from None
    return os.path.join(folder, "bin", "python")


def _prepare_alone(folder: str, project: str, lock: str) -> None:
    """Make the environment while no other start does."""
    import fcntl

    os.makedirs(os.path.dirname(folder), exist_ok=True)
    handle = os.open(os.path.join(os.path.dirname(folder), ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another start, which prepares the environment ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        if not _complete(folder):  # the other start may have made it
            _build(folder, project, lock, handle)
            _remove_old(project, os.path.dirname(folder))
    finally:
        os.close(handle)


def _name(lock: str) -> str:
    """Return the name of a lock file's environment for this Python."""
    try:
        with open(lock, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
    except FileNotFoundError:
        raise Unprepared(f"{lock} is missing: git checkout -- {lock}") from None
    return f"{digest[:12]}-{sys.version_info[0]}.{sys.version_info[1]}"


def _complete(folder: str) -> bool:
    """Say whether an environment was finished, at this place, and its Python still exists."""
    try:
        with open(os.path.join(folder, MARKER), encoding="utf-8") as stream:
            return stream.read() == folder and os.path.exists(os.path.join(folder, "bin", "python"))
    except OSError:
        return False


def _build(folder: str, project: str, lock: str, handle: int) -> None:
    """Make an environment from nothing, its marker last."""
    import shutil

    _say("Preparing the environment (first use, or its packages have changed) ...")
    shutil.rmtree(folder, ignore_errors=True)
    pip = _make_venv(folder, handle)
    command = [*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    # A network without an answer is known after half a minute.
    command += ["--retries", "1", "--timeout", "15", "--require-hashes", "-r", lock]
    result = _run(command, project, handle)
    if result.returncode != 0:
        _explain(result.stdout)
    library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    with open(os.path.join(folder, library, "invops.pth"), "w", encoding="utf-8") as stream:
        stream.write(f"{project}\n")
    with open(os.path.join(folder, MARKER), "w", encoding="utf-8") as stream:
        stream.write(folder)
    _say("The environment is ready.")


def _make_venv(folder: str, handle: int) -> list[str]:
    """Make an empty environment and return the command that is its pip."""
    import importlib.util

    python = os.path.join(folder, "bin", "python")
    pip = [python, "-I", "-m", "pip"]
    options: list[str] = []
    missing = {name for name in ("venv", "ensurepip", "pip") if not importlib.util.find_spec(name)}
    if (
        "ensurepip" in missing
    ):  # Debian keeps it in a package of its own; the system's pip does as well
        options, pip = ["--without-pip"], [sys.executable, "-I", "-m", "pip", "--python", python]
    if "venv" in missing or missing >= {"ensurepip", "pip"}:
        raise Unprepared(f"Python's venv module is missing: {_install('python3-venv')}")
    result = _run([sys.executable, "-I", "-m", "venv", *options, folder], "/", handle)
    if result.returncode != 0:
        _explain(result.stdout)
    return pip


def _run(command: list[str], folder: str, handle: int) -> subprocess.CompletedProcess[str]:
    """Run a command quietly. It holds the lock too: nobody builds while an orphan still writes."""
    import subprocess

    # Settings that would make pip install somewhere else.
    elsewhere = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    return subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in elsewhere},
        pass_fds=(handle,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _explain(output: str) -> NoReturn:
    """Say why pip or venv failed: known reasons in one line, others with all that it printed."""
    if "No space left" in output:
        raise Unprepared("the disk is full: free some space, then run it again")
    for sign, reason in UNREACHABLE:
        if sign in output:
            raise Unprepared(
                f"the package index cannot be reached ({reason}): check the network, or name a mirror"
                " (PIP_INDEX_URL) or a folder of wheels (PIP_FIND_LINKS), then run it again"
            )
    if "DO NOT MATCH THE HASHES" in output:
        sys.stderr.write(output)
        raise Unprepared(
            f"a package is not the one that {LOCK} names: check where pip takes it from"
        )
    sys.stderr.write(output)
    raise Unprepared("the environment could not be made: see pip's words above, then run it again")


def _remove_old(project: str, environments: str) -> None:
    """Remove environments that no lock file names any more and no process runs from."""
    import re
    import shutil

    locks = os.path.join(project, os.path.dirname(LOCK))
    wanted = {_name(os.path.join(locks, each)) for each in os.listdir(locks) if each[-4:] == ".txt"}
    digests = {name[:12] for name in wanted}
    processes = _command_lines()
    for name in os.listdir(environments):
        ours = re.fullmatch(r"[0-9a-f]{12}-3\.[0-9]+", name)
        if ours and name[:12] not in digests and f"{name}/".encode() not in processes:
            shutil.rmtree(os.path.join(environments, name), ignore_errors=True)


def _command_lines() -> bytes:
    """Return the command lines of all processes."""
    import subprocess

    if not os.path.isdir("/proc/self"):
        return subprocess.run(["ps", "-A", "-o", "args"], stdout=subprocess.PIPE, check=True).stdout
    lines = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as stream:
                lines.append(stream.read())
        except OSError:
            continue  # it has ended
    return b"\n".join(lines)


def _inside(project: str) -> bool:
    """Say whether the working folder is in the project."""
    try:
        return os.path.commonpath([project, os.getcwd()]) == project
    except FileNotFoundError:
        return False  # somebody removed it


def _on_path(program: str) -> bool:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in folders)


def _install(package: str) -> str:
    if _on_path("apt-get"):
        return f"apt-get install {package}"
    return f"install {package} with the package manager of this system"


def _say(text: str) -> None:
    sys.stderr.write(f"inv: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
