"""Which process runs something: known by host, process id and start time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ops.kernel import actor, processes

_NAMESPACE = Path("/proc/self/ns/pid")
# Number of the first process namespace of every Linux machine (source: include/linux/proc_ns.h).
_FIRST_NAMESPACE = 0xEFFFFFFC


@dataclass(frozen=True)
class Owner:
    """One process.

    Args:
        host: Name of the machine; inside a container with the number of its process namespace.
        pid: Process id there.
        started: When it started, in seconds since the epoch.
    """

    host: str
    pid: int
    started: float

    @property
    def gone(self) -> bool:
        """Whether the process ended for certain; False for one of another host."""
        return self.host == host() and not processes.is_alive(self.pid, self.started)


def current() -> Owner:
    """Return the owner that this process is."""
    return _current(os.getpid())


@cache
def _current(pid: int) -> Owner:
    return Owner(host(), pid, processes.started(pid))


@cache
def host() -> str:
    """Return the name of this machine.

    A container that shares it sees other processes, so it gets another name.
    """
    try:
        number = _NAMESPACE.stat().st_ino
    except OSError:
        number = _FIRST_NAMESPACE
    return actor.host() if number == _FIRST_NAMESPACE else f"{actor.host()}/{number}"
