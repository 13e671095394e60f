from __future__ import annotations

import threading

import pytest

from ops.hosts.detached import ConnectionLost
from ops.hosts.patience import patiently
from ops.kernel.deadline import Deadline
from ops.kernel.errors import Interrupted, OpsError, TimeLimitReached

FOREVER = float("inf")


def test_result_is_returned() -> None:
    assert patiently(lambda: 7, lambda: None, Deadline(60), "working", FOREVER) == 7


def test_error_of_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, lambda: None, Deadline(60), "working", FOREVER)


@pytest.mark.parametrize(
    ("limit", "seconds", "expected"),
    [(0.3, FOREVER, TimeLimitReached), (60, 0.3, ConnectionLost)],
)
def test_work_that_takes_too_long_is_stopped(
    limit: float, seconds: float, expected: type[OpsError]
) -> None:
    ended = threading.Event()
    with pytest.raises(expected, match="while working"):
        patiently(lambda: ended.wait(60), ended.set, Deadline(limit), "working", seconds)
    assert ended.is_set()


def test_signal_stops_the_work() -> None:
    ended, deadline = threading.Event(), Deadline(60)
    threading.Timer(0.3, deadline.interrupt, [Interrupted("stopped", signal_number=2)]).start()
    with pytest.raises(Interrupted):
        patiently(lambda: ended.wait(60), ended.set, deadline, "working", FOREVER)
    assert ended.is_set()


def test_nothing_is_begun_when_the_time_is_used_up() -> None:
    begun = threading.Event()
    with pytest.raises(TimeLimitReached):
        patiently(begun.set, lambda: None, Deadline(0), "working", FOREVER)
    assert not begun.is_set()
