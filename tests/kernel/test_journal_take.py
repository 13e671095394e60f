"""A run whose process is gone goes to one other process, a living one to none."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from pathlib import Path

import pytest

from ops.kernel import actor, owner
from ops.kernel.errors import ConfigurationError, TakenOver
from ops.kernel.journal import STALE_SECONDS, Journal, NewStep, Run
from ops.kernel.owner import Owner
from ops.kernel.store import State
from tests.support.state import Place, new_run

STEPS = [NewStep("build", "deploy.build")]
ELSEWHERE = Owner("elsewhere", 4711, 1000.0)


@pytest.fixture
def journal(state: State) -> Journal:
    return Journal(state)


@pytest.fixture
def run_id(journal: Journal) -> str:
    return journal.begin(new_run(), STEPS)


def give(place: Place, run_id: str, to: Owner, silent: float = 0.0) -> None:
    """Make `to` the owner of a run, with its last heartbeat `silent` seconds ago."""
    place.as_owner(
        f"UPDATE script_execution_log SET host = '{to.host}', pid = {to.pid}, "
        f"pid_started = {to.started}, heartbeat = heartbeat - {silent} WHERE id = '{run_id}'"
    )


def hear(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def tell(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def test_a_living_run_is_not_taken(journal: Journal, run_id: str) -> None:
    assert not journal.take(run_id, ELSEWHERE)
    journal.step_started(run_id, "build", 0)


def test_a_run_of_another_host_is_taken_when_its_heartbeat_stopped(
    place: Place, journal: Journal, run_id: str
) -> None:
    give(place, run_id, ELSEWHERE, STALE_SECONDS - 5)
    assert not journal.take(run_id)
    give(place, run_id, ELSEWHERE, 6)
    assert journal.take(run_id)
    run = journal.get(run_id)
    assert Owner(run.host, run.pid, run.pid_started) == owner.current()
    journal.step_started(run_id, "build", 0)


@pytest.mark.parametrize(
    "gone",
    [
        dataclasses.replace(owner.current(), pid=2**22 + 1),
        dataclasses.replace(owner.current(), started=owner.current().started - 100),
    ],
    ids=["no such process", "number given to another process"],
)
def test_a_run_of_a_process_of_this_host_that_is_gone_is_taken_at_once(
    place: Place, journal: Journal, run_id: str, gone: Owner
) -> None:
    give(place, run_id, gone)
    assert journal.take(run_id)


def test_the_run_of_a_killed_process_is_taken_at_once(place: Place, journal: Journal) -> None:
    worker = place.worker("hold")
    run_id = hear(worker)
    assert not journal.take(run_id)
    worker.kill()
    # Not reaped yet: a zombie is as dead.
    deadline = time.monotonic() + 10
    while not (taken := journal.take(run_id)) and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.communicate()
    assert taken
    assert [run.id for run in journal.unfinished("local")] == [run_id]


@pytest.mark.parametrize(
    ("ended", "taken"),
    [
        ("done", False),
        ("undone", False),
        ("failed", True),
        ("interrupted", True),
        ("stopped", True),
        ("undo_failed", True),
    ],
)
def test_a_run_that_ended_without_success_may_go_on(
    journal: Journal, run_id: str, ended: str, taken: bool
) -> None:
    journal.finish(run_id, ended, 1, "why")  # type: ignore[arg-type]  # the table's values are states
    assert journal.take(run_id) == taken
    run = journal.get(run_id)
    assert run.state == ("running" if taken else ended)
    assert (run.exit_code, run.finished is None) == ((None, True) if taken else (1, False))


def test_of_two_takers_one_wins(place: Place, journal: Journal, run_id: str) -> None:
    give(place, run_id, ELSEWHERE, 100)
    workers = [place.worker("take", run_id) for _ in range(3)]
    assert [hear(worker) for worker in workers] == ["ready"] * 3
    for worker in workers:
        tell(worker)
    assert sorted(hear(worker) for worker in workers) == ["False", "False", "True"]
    for worker in workers:
        worker.communicate("\n")


def test_a_heartbeat_between_look_and_take_keeps_the_run(
    place: Place, journal: Journal, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(place, run_id, ELSEWHERE, 100)
    look = journal.get

    def look_then_wake(name: str) -> Run:
        run = look(name)
        give(place, run_id, ELSEWHERE, -100)
        return run

    monkeypatch.setattr(journal, "get", look_then_wake)
    assert not journal.take(run_id)


def test_the_owner_that_wakes_up_after_all_is_stopped_at_its_next_step(
    place: Place, state: State, run_id: str
) -> None:
    sleeper, taker = Journal(state), Journal(state)
    place.as_owner("UPDATE script_execution_log SET heartbeat = heartbeat - 100")
    assert taker.take(run_id, ELSEWHERE)
    with pytest.raises(TakenOver, match="taken over by process 4711 on elsewhere"):
        sleeper.step_started(run_id, "build", 0)
    with pytest.raises(TakenOver):
        sleeper.finish(run_id, "done", 0)
    assert not sleeper.heartbeat(run_id)
    taker.step_started(run_id, "build", 0)
    assert taker.heartbeat(run_id)
    taker.finish(run_id, "interrupted", 1)


def test_a_machine_without_process_namespaces_has_its_plain_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def name() -> str:
        return owner.host.__wrapped__()

    monkeypatch.setattr(owner, "_NAMESPACE", tmp_path / "missing")
    assert name() == actor.host()
    (tmp_path / "other").touch()
    monkeypatch.setattr(owner, "_NAMESPACE", tmp_path / "other")
    assert name() == f"{actor.host()}/{(tmp_path / 'other').stat().st_ino}"


def test_an_unknown_run_cannot_be_taken(journal: Journal) -> None:
    with pytest.raises(ConfigurationError, match="there is no run nothing"):
        journal.take("nothing")
