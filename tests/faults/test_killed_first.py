"""kill -9 of the deployer at every moment of the very first deploy, then `deploy` again."""

from __future__ import annotations

import pytest

from tests.faults.conftest import acting
from tests.faults.lanes import (
    Lane,
    Lanes,
    Moment,
    application,
    assert_dead_run_is_closed,
    assert_migrated_once,
    assert_processes,
    assert_serves,
    moments,
)
from tests.support import project as projects

KILLED = -9


@pytest.fixture(scope="module")
def first(lanes: Lanes) -> list[Moment]:
    """Return the moments of the first deploy in a home where another environment runs."""
    with lanes.one() as lane, application(lane.base) as fresh:
        return moments(fresh)


@pytest.fixture(scope="module")
def on_a_new_machine() -> list[Moment]:
    """Return the moments of the steps that make an empty home ready: those before the release comes."""
    with projects.place() as base, application(base) as fresh:
        found = moments(fresh)
    steps = list(dict.fromkeys(each.step for each in found if each.step))
    return [each for each in found if each.step in steps[: steps.index("checkout")]]


def converges(fresh: Lane, moment: Moment) -> None:
    release = fresh.git("rev-parse", "HEAD")[:12]
    ran = fresh.harmed(f"kill:{moment}")
    assert ran.code == KILLED, ran.text
    again = fresh.deploy()
    assert again.code == 0, again.text
    assert_serves(fresh, release)
    assert_migrated_once(fresh)
    assert_dead_run_is_closed(fresh, again)


def in_a_new_environment(lane: Lane, moment: Moment) -> None:
    with application(lane.base) as fresh:
        converges(fresh, moment)


def in_a_new_home(lane: Lane, moment: Moment) -> None:
    with projects.place() as base, application(base) as fresh:
        converges(fresh, moment)


def test_killed_at_every_moment_of_the_first_deploy_the_next_one_converges(
    lanes: Lanes, first: list[Moment]
) -> None:
    lanes.each(first, in_a_new_environment)


def test_killed_while_a_new_machine_is_made_ready_the_next_deploy_converges(
    lanes: Lanes, on_a_new_machine: list[Moment]
) -> None:
    assert {each.step for each in on_a_new_machine} >= {"daemon", "database"}
    lanes.each(on_a_new_machine, in_a_new_home)


def resumed_and_undone(lane: Lane, moment: Moment) -> None:
    with application(lane.base) as fresh:
        fresh.harmed(f"kill:{moment}")
        (dead,) = fresh.runs()
        undone = fresh.run("runs.undo", dead.id)
        assert undone.code == 0, undone.text
        assert fresh.runs()[0].state == "undone"
        assert_processes(fresh, {})
        assert not fresh.half_made()
        ran = fresh.harmed(f"kill:{moment}")
        assert ran.code in (
            KILLED,
            0,
        ), ran.text  # what stays after an undo, such as a migration, is skipped now
        if ran.code == KILLED:
            resumed = fresh.run("runs.resume", fresh.runs()[0].id)
            assert resumed.code == 0, resumed.text
        assert_serves(fresh, fresh.git("rev-parse", "HEAD")[:12])
        assert_migrated_once(fresh)
        assert [each.state for each in fresh.runs()] == ["done", "undone"]


def test_a_killed_first_deploy_is_undone_and_the_next_killed_one_resumed(
    lanes: Lanes, first: list[Moment]
) -> None:
    lanes.each(acting(first), resumed_and_undone)
