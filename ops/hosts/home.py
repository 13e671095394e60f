"""Where things lie on this machine: the project's home folder and its sockets.

As root everything that the service user needs is in one root-made folder outside any home, because that user
cannot enter root's 0700 home. Otherwise it is in the project's `.ops/` folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.hosts import access
from ops.kernel import files
from ops.kernel.deadline import Deadline
from ops.kernel.errors import NotPermitted
from ops.kernel.settings.models import Settings

SYSTEM_ROOT = Path("/var/lib/invops")
_SHORT = 60
"""Longest folder for sockets: the path of a Unix socket has about 100 characters (104 on macOS, 108 on Linux)."""


@dataclass(frozen=True)
class Home:
    """The folders of one project on this machine.

    Args:
        path: Home of daemon, server data, tools, environments and releases.
        sockets: Short folder for Unix sockets.
    """

    path: Path
    sockets: Path

    @property
    def tools(self) -> Path:
        """Server binaries from wheels."""
        return self.path / "tools"

    @property
    def venvs(self) -> Path:
        """Python environments of releases, by hash of the lock file."""
        return self.path / "venvs"

    @property
    def builds(self) -> Path:
        """Built static files, by hash of their sources."""
        return self.path / "builds"

    @property
    def supervisor(self) -> Path:
        """Configuration, process id and logs of the daemon."""
        return self.path / "supervisor"

    @property
    def postgres(self) -> Path:
        """Data and credentials of the embedded server."""
        return self.path / "postgres"

    def environment(self, name: str) -> Path:
        """Return the folder of one environment: releases, slots, proxy, lock."""
        return self.path / "environments" / name


def of(settings: Settings) -> Home:
    """Return the home of the project that `settings` were read from; creates nothing."""
    place = settings.options.home or settings.folder
    digest = hashlib.sha256(str(place).encode()).hexdigest()[:8]
    if settings.options.home is not None:
        path = settings.options.home.absolute()
    elif os.geteuid() == 0:
        path = SYSTEM_ROOT / f"{settings.app.name}-{digest}"
    else:
        path = settings.folder / ".ops" / "home"
    return Home(path, _recorded(path) or _sockets(digest, path))


def create(home: Home, owner: files.Owner | None) -> None:
    """Make the folders; `owner` is the service user when this runs as root.

    Raises:
        NotPermitted: The socket folder belongs to somebody else, or the service user cannot enter the home.
    """
    mode = 0o755 if owner else 0o700
    if owner is not None and home.path.parent == SYSTEM_ROOT:
        files.make_folder(SYSTEM_ROOT, mode=mode)
    for folder in (
        home.path,
        home.tools,
        home.venvs,
        home.builds,
        home.supervisor,
        home.path / "environments",
    ):
        files.make_folder(folder, mode=mode)
    if owner is not None and (blocked := access.blocked_at(home.path / "any", owner)):
        raise NotPermitted(
            f"the service user cannot enter {blocked}",
            why=f"the home {home.path} is below it",
            hint="set OPS_HOME to a folder outside of any user's home, e.g. /srv/invops",
        )
    if home.sockets.parent != home.path:
        files.make_folder(home.sockets.parent, mode=mode)
        _refuse_foreign(home.sockets.parent, os.geteuid())
    files.make_folder(home.sockets, owner=owner)
    _refuse_foreign(home.sockets, owner.uid if owner else os.geteuid())
    files.link(_record(home.path), home.sockets)


@contextlib.contextmanager
def locked(folder: Path, deadline: Deadline) -> Iterator[None]:
    """Hold the system's lock of a folder for a block; a process that ends gives it back.

    Raises:
        TimeLimitReached: Another process holds it for longer than the deadline allows.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                deadline.check(f"waiting for another process that works in {folder}")
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _record(path: Path) -> Path:
    return path / "sockets"


def _recorded(path: Path) -> Path | None:
    """Return the socket folder in use: a shell with another TMPDIR must find the running daemon as well."""
    try:
        folder = Path(os.readlink(_record(path)))
    except OSError:
        return None
    return folder if folder.is_dir() else None


def _sockets(digest: str, path: Path) -> Path:
    if os.geteuid() == 0:
        # A comma would be two hosts in the URL of a database.
        plain = re.fullmatch(r"[\w./-]+", str(path)) and len(str(path)) < _SHORT - 4
        return path / "run" if plain else Path("/run/invops") / digest
    # Not XDG_RUNTIME_DIR: it is removed when the user logs out, but the daemon stays. Not the project's own
    # folder: shared and network file systems may not hold sockets.
    name = f"invops-{os.geteuid()}/{digest}"
    temporary = Path(tempfile.gettempdir())
    if len(str(temporary / name)) < _SHORT:
        return temporary / name
    return Path("/tmp") / name  # nosec B108


def _refuse_foreign(folder: Path, expected: int) -> None:
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != expected:
        raise NotPermitted(
            f"{folder} belongs to user {status.st_uid}, not to {expected}",
            hint=f"remove it, or set TMPDIR: ls -ld {folder}",
        )
