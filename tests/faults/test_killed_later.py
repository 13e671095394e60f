"""kill -9 of the deployer at every moment of a deploy while an old release serves, then `deploy` again."""

from __future__ import annotations

import pytest

from tests.faults.lanes import (
    DONE,
    Lane,
    Lanes,
    Moment,
    assert_dead_run_is_closed,
    assert_migrated_once,
    assert_serves,
)
from tests.faults.prober import probing

KILLED = -9


def converges(lane: Lane, moment: Moment) -> None:
    old, new = lane.observed().release, lane.change()
    with probing(lane.port) as answers:
        ran = lane.harmed(f"kill:{moment}")
        assert ran.code == KILLED, ran.text
        again = lane.deploy()
        assert again.code == 0, again.text
    answers.assert_all_good()
    assert answers.versions in ([old, new], [old], [new])
    assert_serves(lane, new)
    assert_migrated_once(lane)
    assert_dead_run_is_closed(lane, again)


@pytest.mark.parametrize("event", [*DONE, "others"])
def test_killed_at_every_moment_the_old_release_serves_and_the_next_deploy_converges(
    lanes: Lanes, later: list[Moment], event: str
) -> None:
    cases = [
        each
        for each in later
        if each.event == event or (event == "others" and each.event not in DONE)
    ]
    lanes.each(cases, converges)
