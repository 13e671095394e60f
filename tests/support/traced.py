"""What a command changed: seen by strace call by call, and by comparing folders before and after."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

# System calls that can change something outside of the process (Linux, x86 and ARM), beside those that open files.
CALLS = (
    *(
        "open",
        "openat",
        "openat2",
        "creat",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "rmdir",
    ),
    *(
        "mkdir",
        "mkdirat",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "chmod",
        "fchmodat",
        "fchmodat2",
        "chown",
    ),
    *(
        "lchown",
        "fchownat",
        "truncate",
        "mknod",
        "mknodat",
        "utime",
        "utimes",
        "futimesat",
        "utimensat",
    ),
    *(
        "setxattr",
        "lsetxattr",
        "removexattr",
        "mount",
        "umount2",
        "kill",
        "tkill",
        "tgkill",
        "connect",
    ),
)
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
_OPENS = {"open", "openat", "openat2"}
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
_SIGNALS = {"kill", "tkill", "tgkill"}


@dataclass(frozen=True)
class Change:
    """One system call that changed something.

    Args:
        call: Its name.
        paths: Absolute paths among its arguments.
        line: As strace wrote it.
    """

    call: str
    paths: tuple[str, ...]
    line: str


def command(output: Path) -> list[str]:
    """Return what to put before a command so that its changes are written to a file."""
    return ["strace", "-f", "-qq", "-y", "-s", "300", "-e", f"trace={','.join(f'?{each}' for each in CALLS)}",
            "-o", str(output)]  # fmt: skip


def changes(output: Path) -> list[Change]:
    """Return the calls that succeeded and could change something."""
    found = []
    for line in output.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None or match["result"].startswith("-"):
            continue
        call, arguments = match["call"], match["arguments"]
        if call in _OPENS and not _WRITES.search(arguments):
            continue
        if call in _SIGNALS and re.search(r", (0|SIG_0)$", arguments):
            continue  # asks whether a process lives
        found.append(Change(call, _paths(arguments), line))
    return found


def _paths(arguments: str) -> tuple[str, ...]:
    """Return absolute paths; a relative one follows the folder that `-y` shows for its descriptor."""
    found, base = [], ""
    for folder, quoted in re.findall(r"<(/[^>]*)>|\"((?:[^\"\\]|\\.)*)\"", arguments):
        if folder:
            base = folder
        else:
            found.append(quoted if quoted.startswith("/") else f"{base}/{quoted}")
    return tuple(os.path.normpath(each) for each in found)


def snapshot(*folders: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return every file below some folders with its mode and content; a state database by its rows.

    Args:
        folders: Where to look.
        without: Names of folders to leave out.
    """
    found = {}
    for top in folders:
        for folder, names, files in os.walk(top):
            names[:] = [name for name in names if name not in without]
            for name in [*names, *files]:
                path = Path(folder) / name
                if not name.endswith(("-wal", "-shm")):
                    found[str(path)] = _content(path)
    return found


def _content(path: Path) -> str:
    status = path.lstat()
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if not path.is_file():
        return f"{status.st_mode:o}"
    data = "\n".join(rows(path)).encode() if path.name == "state.db" else path.read_bytes()
    return f"{status.st_mode:o} {hashlib.sha256(data).hexdigest()}"


def rows(database: Path) -> list[str]:
    """Return a SQLite database as statements."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()
