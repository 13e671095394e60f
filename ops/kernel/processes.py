"""Which processes live: a process id alone can be given to somebody else, id and start time cannot."""

from __future__ import annotations

import os
import signal
import time

import psutil

from ops.kernel import guard


def started(pid: int) -> float:
    """Return when a process started, in seconds since the epoch; 0 when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def is_alive(pid: int, start: float) -> bool:
    """Say whether this very process still runs (a zombie does not)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - start) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def end_group(group: int, start: float, grace: float = 5.0) -> bool:
    """End what a killed run left behind: TERM to the process group, then KILL after `grace` seconds.

    Args:
        group: Process group, the id of its first process.
        start: When that process started, seconds since the epoch.
        grace: Seconds between TERM and KILL.

    Returns:
        Whether there was anything to end.
    """
    if not members(group, start):
        return False
    guard.effect(f"end process group {group}")
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return True
        end = time.monotonic() + grace
        while time.monotonic() < end:
            if not members(group, start):
                return True
            time.sleep(0.05)
    return True


def members(group: int, start: float) -> list[int]:
    """Return living members of the group that are as old as its first process or younger."""
    found = []
    for process in psutil.process_iter(["pid", "create_time", "status"]):
        try:
            same = os.getpgid(process.pid) == group
        except (ProcessLookupError, PermissionError):
            continue
        info = process.info
        if same and info["status"] != psutil.STATUS_ZOMBIE and info["create_time"] >= start - 1:
            found.append(process.pid)
    return found
