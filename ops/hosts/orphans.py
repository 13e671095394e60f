"""Finds and ends processes of services that nobody watches any more.

A killed daemon leaves its children running, and a killed parent its own. Each service carries the variable
INVOPS_SERVICE=<home>:<program>, which its children inherit, so they are known whoever their parent is now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection

import psutil

from ops.hosts.home import Home
from ops.kernel import guard

VARIABLE = "INVOPS_SERVICE"
GRACE = 10.0
"""Seconds between the stop signal and KILL."""
_POLL = 0.05
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def marker(home: Home, program: str) -> str:
    """Return the value of the variable for a program of a home."""
    return f"{home.path}:{program}"


def find(home: Home, programs: Collection[str] | None = None) -> list[psutil.Process]:
    """Return living processes that carry the marker of these programs; of all programs when None.

    This process and its parents are left out: somebody may run invops inside of a service.
    """
    prefix = marker(home, "")
    wanted = None if programs is None else {marker(home, name) for name in programs}
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        value = _value(process)
        if value in wanted if wanted is not None else value.startswith(prefix):
            found.append(process)
    return found


def programs(home: Home) -> set[str]:
    """Return the names of the programs that have a living process."""
    return {_value(process).rpartition(":")[2] for process in find(home)} - {""}


def end(home: Home, programs: Collection[str] | None, stop_signal: Callable[[str], int]) -> int:
    """End the processes that carry a marker; return how many there were.

    Args:
        home: Whose services.
        programs: Which programs, None for all.
        stop_signal: Tells a program's signal.
    """
    found = find(home, programs)
    if not found:
        return 0
    guard.effect(f"end {len(found)} left-over processes of {home.path}")
    for process in found:
        with contextlib.suppress(*_GONE):
            process.send_signal(stop_signal(_value(process).rpartition(":")[2]))
    alive = _wait(found)
    for process in alive:
        with contextlib.suppress(*_GONE):
            process.send_signal(signal.SIGKILL)
    _wait(alive)
    return len(found)


def _wait(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for processes that are not our children; return those that still live."""
    end = time.monotonic() + GRACE
    while (alive := [each for each in processes if _lives(each)]) and time.monotonic() < end:
        time.sleep(_POLL)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        # In a container nobody may ever fetch the exit code of an orphan: a zombie is gone.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except _GONE:
        return False


def _value(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(VARIABLE, ""))
    except _GONE:
        return ""
