"""One run at a time for each environment: a lease on the target that a dead holder cannot keep.

On this machine it is `flock` on a file, which the system takes back when its holder ends, plus a record of who
holds it. Each acquisition gets a fencing number; a run stops when the lock's number is no longer its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ops.kernel import actor, files, guard, processes
from ops.kernel.deadline import Deadline
from ops.kernel.errors import Busy, ConfigurationError, TakenOver

POLL = 0.1
"""Seconds between two tries while waiting."""
LOOK = 0.3
"""Seconds that are waited in any case: whoever looks at a lock holds it for a moment."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        owner: user@host.
        task: What it does.
        host: Its machine.
        pid: Its process.
        started: When that process started, seconds since the epoch.
        since: When it took the lock, seconds since the epoch.
        fencing: Number of this acquisition, growing.
    """

    owner: str
    task: str
    host: str
    pid: int
    started: float
    since: float
    fencing: int

    @property
    def alive(self) -> bool:
        """Whether the holder's process still runs on this machine."""
        return self.host == actor.host() and processes.is_alive(self.pid, self.started)


class Held(Protocol):
    """A lock in our hands."""

    def check(self) -> None:
        """Raise TakenOver when somebody took the lock away."""


class Lock(Protocol):
    """A lock of an environment, wherever it lies."""

    def hold(self, task: str, owner: str, wait: float) -> AbstractContextManager[Held]:
        """Take it, waiting up to `wait` seconds; raises Busy."""

    def holder(self) -> Holder | None:
        """Return who holds it now."""

    def break_(self) -> None:
        """Take it away from whoever holds it."""


class FileLock:
    """The lock of an environment on this machine.

    Args:
        path: The lock's file, on the target.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def hold(self, task: str, owner: str, wait: float = 0) -> Iterator[Held]:
        """Hold the lock for a block.

        Args:
            task: What will be done.
            owner: Who asks.
            wait: Seconds to wait for a living holder.

        Raises:
            Busy: Somebody else holds it.
        """
        guard.effect(f"lock {self.path}")
        files.make_folder(self.path.parent, mode=0o755)
        handle = self._acquire(Deadline(max(wait, LOOK)))
        try:
            yield self._record(handle, task, owner)
        finally:
            os.close(handle)

    def holder(self) -> Holder | None:
        """Return who holds it, None when nobody does."""
        try:
            with files.translated(f"cannot look at {self.path}"):
                handle = os.open(self.path, os.O_RDONLY)
        except ConfigurationError:  # there is no such file, so nobody ever held it
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read()
        finally:
            os.close(handle)
        return None

    def break_(self) -> None:
        """Take the lock away: the holder's next step fails, the next run gets a file of its own."""
        last = self._read()
        fresh = asdict(last) | {"pid": 0, "owner": "", "fencing": last.fencing + 1} if last else {}
        # Another file takes its place, so the lock of the system on the old one is worth nothing.
        files.write(self.path, json.dumps(fresh))

    def _acquire(self, deadline: Deadline) -> int:
        while True:
            with files.translated(f"cannot open {self.path}"):
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == self.path.stat().st_ino:
                    return handle
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(handle)
            if deadline.remaining() <= 0:
                raise self._busy()
            time.sleep(POLL)

    def _busy(self) -> Busy:
        holder = self._read()
        who = f"{holder.owner} ({holder.task}, process {holder.pid})" if holder else "another run"
        since = (
            f", since {time.strftime('%H:%M:%S', time.localtime(holder.since))}" if holder else ""
        )
        environment = self.path.parent.name
        return Busy(
            f"{environment} is locked by {who}{since}",
            hint=f"wait with --wait, or look: inv lock.status --env {environment}",
        )

    def _record(self, handle: int, task: str, owner: str) -> _FileHeld:
        last = self._read()
        number = (last.fencing if last else 0) + 1
        pid = os.getpid()
        record = Holder(owner, task, actor.host(), pid, processes.started(pid), time.time(), number)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(record)).encode(), 0)
        os.fsync(handle)
        return _FileHeld(self, number)

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


@dataclass(frozen=True)
class _FileHeld:
    lock: FileLock
    fencing: int

    def check(self) -> None:
        """Raise TakenOver when the lock's number is not ours any more."""
        now = self.lock._read()
        if now is None or now.fencing != self.fencing:
            raise TakenOver(
                f"the lock of {self.lock.path.parent.name} was taken away from this run",
                hint="look at what the other run did: inv runs.list",
            )
