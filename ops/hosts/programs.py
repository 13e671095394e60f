"""What the daemon runs, and what it says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.hosts.account import Account


@dataclass(frozen=True)
class Program:
    """A process that the daemon keeps running.

    Args:
        name: Unique in the project, e.g. "local-blue-backend".
        argv: Program and arguments, without secrets.
        cwd: Working folder.
        environment: All of its variables; they go to a 0600 file.
        stop_signal: Name of the signal that ends it, without SIG.
        stop_seconds: How long it may take to end before it is killed.
        account: User to run as, the daemon's service user when None.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(repr=False)
    stop_signal: str = "TERM"
    stop_seconds: float = 30
    account: Account | None = None


@dataclass(frozen=True)
class ProgramState:
    """What the daemon says about a program.

    Args:
        group: Its group.
        name: Its name.
        state: supervisor's word: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        pid: Its process, 0 when there is none.
        started: When its last start was, seconds since the epoch.
        uptime_seconds: How long this process runs.
        exit_status: Of the process before.
    """

    group: str
    name: str
    state: str
    pid: int
    started: int
    uptime_seconds: float
    exit_status: int
