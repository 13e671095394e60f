"""Waiting for what blocks without asking the clock: paramiko's calls, some of which have no time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from ops.hosts.detached import ConnectionLost
from ops.kernel.deadline import Deadline

T = TypeVar("T")
_TICK: Final = 0.2
_LAST: Final = 1.0


def patiently(
    work: Callable[[], T], stop: Callable[[], None], deadline: Deadline, doing: str, seconds: float
) -> T:
    """Return what `work` returns, waiting for it no longer than the time allows.

    Args:
        work: Runs in a thread of its own.
        stop: Makes it end soon.
        deadline: When to give up; a signal comes through it as well.
        doing: What it does, for messages.
        seconds: After which the other side counts as lost.

    Raises:
        TimeLimitReached: The deadline's time is used up.
        ConnectionLost: `seconds` are over.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    deadline.check(doing)
    thread = threading.Thread(target=run, daemon=True)
    end = time.monotonic() + seconds
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_TICK)
            if thread.is_alive():
                deadline.check(doing)
                if time.monotonic() >= end:
                    raise ConnectionLost(f"no answer within {seconds:g} s while {doing}")
    except BaseException:
        stop()
        thread.join(_LAST)
        raise
    return outcome.result()
