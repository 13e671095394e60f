"""SIGTERM and SIGINT at every step of a deploy."""

from __future__ import annotations

from tests.faults.conftest import acting
from tests.faults.lanes import Lane, Lanes, Moment, assert_clear, assert_serves
from tests.faults.prober import probing


def undone_by_itself(lane: Lane, moment: Moment) -> None:
    old = lane.observed().release
    lane.change()
    with probing(lane.port) as answers:
        ran = lane.harmed(f"SIGTERM:step.started:{moment.step}")
    assert_clear(ran, 143, "stopped by SIGTERM")
    assert lane.runs()[0].state == "undone"
    # Interrupted before its effect only where the step allows it; else it is finished first.
    assert lane.states()[moment.step] in ("undone", "done", "failed")
    answers.assert_all_good()
    assert_serves(lane, old)


def left(lane: Lane, moment: Moment) -> None:
    old = lane.observed().release
    lane.change()
    with probing(lane.port) as answers:
        ran = lane.harmed(f"SIGINT:step.started:{moment.step},SIGINT:step.acted:{moment.step}")
        dead = lane.runs()[0]
        assert_clear(ran, 130, f"runs.resume {dead.id}", f"runs.undo {dead.id}")
        assert dead.lost and lane.states()[moment.step] == "started"
        undone = lane.run("runs.undo", dead.id)
        assert undone.code == 0, undone.text
    answers.assert_all_good()
    assert_serves(lane, old)


def test_sigterm_ends_the_step_undoes_and_exits_143(lanes: Lanes, later: list[Moment]) -> None:
    lanes.each(acting(later), undone_by_itself)


def test_sigint_twice_leaves_the_journal_and_says_how_to_go_on(
    lanes: Lanes, later: list[Moment]
) -> None:
    lanes.each(acting(later), left)
