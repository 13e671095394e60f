"""A killed deploy is finished or taken back by another process, from the journal."""

from __future__ import annotations

from tests.faults.conftest import acting
from tests.faults.lanes import (
    Lane,
    Lanes,
    Moment,
    assert_migrated_once,
    assert_serves,
)
from tests.faults.prober import probing
from tests.support.project import finish


def resumed(lane: Lane, moment: Moment) -> None:
    old, new = lane.observed().release, lane.change()
    with probing(lane.port) as answers:
        lane.harmed(f"kill:{moment}")
        dead = lane.runs()[0]
        assert dead.lost
        ran = lane.run("runs.resume", dead.id)
        assert ran.code == 0, ran.text
    answers.assert_all_good()
    assert answers.versions in ([old, new], [new])
    assert_serves(lane, new)
    assert_migrated_once(lane)
    now = lane.runs()[0]
    assert (now.id, now.state) == (dead.id, "done")


def undone(lane: Lane, moment: Moment) -> None:
    old = lane.observed().release
    lane.change()
    with probing(lane.port) as answers:
        lane.harmed(f"kill:{moment}")
        dead = lane.runs()[0]
        assert dead.lost
        ran = lane.run("runs.undo", dead.id)
        assert ran.code == 0, ran.text
    answers.assert_all_good()
    assert answers.versions[-1] == old or old in answers.versions
    assert_serves(lane, old)
    now = lane.runs()[0]
    assert (now.id, now.state) == (dead.id, "undone")


def test_a_killed_deploy_is_resumed_after_every_effect(lanes: Lanes, later: list[Moment]) -> None:
    lanes.each(acting(later), resumed)


def test_a_killed_deploy_is_undone_after_every_effect(lanes: Lanes, later: list[Moment]) -> None:
    lanes.each(acting(later), undone)


def undone_in_two(lane: Lane, moment: Moment) -> None:
    old = lane.observed().release
    lane.change()
    with probing(lane.port) as answers:
        lane.harmed("kill:step.acted:record")
        dead = lane.runs()[0]
        killed = finish(lane.begin("runs.undo", dead.id, "--quiet", fault=f"kill:{moment}"))
        assert killed.code == -9, killed.text
        ran = lane.run("runs.undo", dead.id)
        assert ran.code == 0, ran.text
    answers.assert_all_good()
    assert_serves(lane, old)
    now = lane.runs()[0]
    assert (now.id, now.state) == (dead.id, "undone")


def test_an_undo_that_was_killed_is_gone_on_with(lanes: Lanes, later: list[Moment]) -> None:
    with lanes.one() as lane:
        lane.change()
        lane.harmed("SIGTERM:step.started:record")
        undone = [step for step, state in lane.states().items() if state == "undone"]
    lanes.each(
        [Moment(event, step) for step in undone for event in ("step.undoing", "step.undone")],
        undone_in_two,
    )
