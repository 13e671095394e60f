"""The time limit of every step of a deploy."""

from __future__ import annotations

from tests.faults.conftest import acting
from tests.faults.lanes import Lane, Lanes, Moment, assert_clear, assert_serves
from tests.faults.prober import probing


def undone(lane: Lane, moment: Moment) -> None:
    old = lane.observed().release
    lane.change()
    with probing(lane.port) as answers:
        ran = lane.harmed(f"expire:step.started:{moment.step}")
    assert_clear(ran, 1, r"time limit|within \d+ s")
    assert lane.runs()[0].state == "undone"
    answers.assert_all_good()
    assert_serves(lane, old)


def test_a_step_beyond_its_limit_fails_and_is_undone(lanes: Lanes, later: list[Moment]) -> None:
    lanes.each(acting(later), undone)
