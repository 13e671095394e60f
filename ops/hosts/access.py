"""What another user may enter and run, read from permission bits: root's own view says yes to everything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ops.kernel.files import Owner


def blocked_at(path: Path, user: Owner | None) -> Path | None:
    """Return the first folder on the way to `path` that `user` cannot enter, None when the way is free.

    Args:
        path: A file or folder; links on the way are followed.
        user: The user, None for this process.
    """
    for folder in _folders(path):
        if not _allowed(folder, user, 0o1):
            return folder
    return None


def may_run(path: Path, user: Owner | None) -> bool:
    """Say whether `user` (None: this process) can execute the file."""
    if not path.is_file():
        return False
    return blocked_at(path, user) is None and _allowed(path, user, 0o5 if user else 0o1)


def _folders(path: Path) -> Iterator[Path]:
    absolute = path.absolute()
    yield from reversed(absolute.parents)
    resolved = absolute.resolve()
    if resolved != absolute:
        yield from reversed(resolved.parents)


def _allowed(path: Path, user: Owner | None, bits: int) -> bool:
    """Compare `bits` (read 4, write 2, execute 1) with the class of permissions that counts for the user."""
    if user is None:
        return os.access(path, bits)
    try:
        status = path.stat()
    except OSError:
        return False
    if status.st_uid == user.uid:
        granted = stat.S_IMODE(status.st_mode) >> 6
    elif status.st_gid == user.gid:
        granted = stat.S_IMODE(status.st_mode) >> 3
    else:
        granted = stat.S_IMODE(status.st_mode)
    return granted & bits == bits
