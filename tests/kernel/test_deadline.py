"""Time limits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ops.kernel.deadline import Deadline, minutes
from ops.kernel.errors import Interrupted, TimeLimitReached
from tests.support import runs


def test_it_counts_down() -> None:
    deadline = Deadline(10)
    deadline.check("waiting")
    first = deadline.remaining()
    time.sleep(0.01)
    assert 9 < deadline.remaining() < first <= 10


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_time(seconds: float) -> None:
    deadline = Deadline(seconds)
    assert deadline.remaining() == 0
    with pytest.raises(TimeLimitReached):
        deadline.check("starting")


def test_it_says_what_took_too_long_and_where_to_look() -> None:
    deadline = Deadline(90)
    deadline.expire()
    with pytest.raises(TimeLimitReached) as caught:
        deadline.check("building backend")
    assert str(caught.value) == "time limit of 90 s reached while building backend"
    assert "inv runs.show" in caught.value.hint


def test_an_interruption_is_no_time_limit() -> None:
    deadline = Deadline(90)
    deadline.interrupt(Interrupted("stopped by SIGINT", signal_number=2))
    assert deadline.remaining() == 0
    with pytest.raises(Interrupted) as caught:
        deadline.check("building backend")
    assert caught.value.exit_code == 130


def test_a_part_never_gets_more_than_the_whole(tmp_path: Path) -> None:
    context = runs.context(runs.project(tmp_path), seconds=5)
    assert context.within(60).deadline.remaining() <= 5
    assert context.within(1).deadline.remaining() <= 1
    context.deadline.expire()
    assert context.within(60).deadline.remaining() == 0


def test_minutes() -> None:
    assert minutes(1.5) == 90
