"""The journal: each transition is committed, only those allowed happen, and only the owner makes them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, EffectRefused, OpsError, TakenOver
from ops.kernel.journal import Journal, NewStep
from ops.kernel.records import STEP_CHANGES, new_id
from ops.kernel.store import State
from tests.support.state import Place, new_run

STEPS = [
    NewStep("build", "deploy.build", {"ref": "HEAD"}),
    NewStep("switch", "deploy.switch", {"slot": {"$ref": "build.slot"}}),
]
TO: dict[str, Callable[[Journal, str], None]] = {
    "started": lambda journal, run: journal.step_started(run, "build", 10),
    "done": lambda journal, run: journal.step_done(run, "build", {"slot": "blue"}),
    "skipped": lambda journal, run: journal.step_skipped(run, "build", "built already", None),
    "failed": lambda journal, run: journal.step_failed(run, "build", "no space"),
    "undoing": lambda journal, run: journal.step_undoing(run, "build"),
    "undone": lambda journal, run: journal.step_undone(run, "build"),
    "undo_failed": lambda journal, run: journal.step_undo_failed(run, "build", "still no space"),
}
WAYS = {
    "pending": [],
    "started": ["started"],
    "done": ["started", "done"],
    "skipped": ["skipped"],
    "failed": ["started", "failed"],
    "undoing": ["started", "undoing"],
    "undone": ["started", "undoing", "undone"],
    "undo_failed": ["started", "undoing", "undo_failed"],
}


@pytest.fixture
def journal(state: State) -> Journal:
    return Journal(state)


@pytest.fixture
def run_id(journal: Journal) -> str:
    return journal.begin(new_run(), STEPS)


def reach(journal: Journal, run_id: str, state: str) -> None:
    for each in WAYS[state]:
        TO[each](journal, run_id)


def test_a_run_is_recorded_with_all_its_steps_before_anything_is_done(
    journal: Journal, run_id: str
) -> None:
    run = journal.get(run_id)
    assert (run.state, run.task, run.environment) == ("running", "deploy", "local")
    assert run.plan == {"steps": [], "summary": {"host": "é"}}
    assert (run.finished, run.exit_code, run.error, run.dry_run) == (None, None, "", False)
    steps = journal.steps(run_id)
    assert [(each.position, each.step_id, each.state) for each in steps] == [
        (0, "build", "pending"),
        (1, "switch", "pending"),
    ]
    assert steps[1].arguments == {"slot": {"$ref": "build.slot"}}


def test_a_step_keeps_what_happened(journal: Journal, run_id: str) -> None:
    journal.step_started(run_id, "build", 42)
    journal.child(run_id, "build", 4711, 12.5)
    journal.step_done(run_id, "build", {"image": "sha256:é", "sizes": [1, 2.5, None]})
    step = journal.steps(run_id)[0]
    assert (step.state, step.attempts, step.log_offset) == ("done", 1, 42)
    assert (step.process_group, step.process_started) == (4711, 12.5)
    assert step.result == {"image": "sha256:é", "sizes": [1, 2.5, None]}
    assert step.started is not None and step.finished is not None
    assert 0 <= step.finished - step.started < 60


def test_a_second_attempt_forgets_the_error_of_the_first(journal: Journal, run_id: str) -> None:
    reach(journal, run_id, "failed")
    assert journal.steps(run_id)[0].error == "no space"
    journal.step_started(run_id, "build", 99)
    step = journal.steps(run_id)[0]
    assert (step.attempts, step.error, step.finished, step.log_offset) == (2, "", None, 99)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WAYS, TO)))
def test_only_allowed_transitions_of_a_step_happen(
    journal: Journal, run_id: str, before: str, after: Any
) -> None:
    reach(journal, run_id, before)
    if before in STEP_CHANGES[after]:
        TO[after](journal, run_id)
        assert journal.steps(run_id)[0].state == after
    else:
        with pytest.raises(OpsError, match=f"is {before}, it cannot become {after}"):
            TO[after](journal, run_id)
        assert journal.steps(run_id)[0].state == before
    assert journal.steps(run_id)[1].state == "pending"


@pytest.mark.parametrize(
    "end", ["done", "failed", "undone", "undo_failed", "interrupted", "stopped"]
)
def test_a_run_ends_once(journal: Journal, run_id: str, end: Any) -> None:
    journal.finish(run_id, end, 1, "why")
    run = journal.get(run_id)
    assert (run.state, run.exit_code, run.error) == (end, 1, "why")
    assert run.finished is not None
    with pytest.raises(OpsError, match=f"is {end} already"):
        journal.finish(run_id, "done", 0)
    with pytest.raises(OpsError, match=f"is {end} already"):
        journal.step_started(run_id, "build", 0)
    assert not journal.heartbeat(run_id)


def test_a_run_cannot_end_as_running(journal: Journal, run_id: str) -> None:
    with pytest.raises(OpsError, match="cannot end as running"):
        journal.finish(run_id, "running", 0)


@pytest.mark.parametrize("name", ["", "nothing", "'; DROP TABLE run_steps; --", "\0", "\udcff"])
def test_an_unknown_run_is_named(journal: Journal, run_id: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no run") as caught:
        journal.get(name)
    assert caught.value.hint == "inv runs.list"
    assert journal.steps(run_id)


def test_an_unknown_step_is_named(journal: Journal, run_id: str) -> None:
    with pytest.raises(OpsError, match="has no step nothing"):
        journal.step_started(run_id, "nothing", 0)
    with pytest.raises(OpsError, match=r"build of run .* is pending"):
        journal.child(run_id, "build", 1, 1.0)


@pytest.mark.parametrize("text", ["\0", "\udcff", "é\n✓", "x" * 100_000])
def test_any_text_can_be_recorded(journal: Journal, text: str) -> None:
    run_id = journal.begin(new_run(actor=text, target=text, plan={"text": text}), STEPS)
    journal.step_started(run_id, "build", 0)
    journal.step_failed(run_id, "build", text)
    journal.finish(run_id, "failed", 1, text)
    assert journal.get(run_id).plan == {"text": text}
    assert journal.get(run_id).error == journal.steps(run_id)[0].error


def test_runs_are_listed_newest_first_in_pages(journal: Journal) -> None:
    made = [journal.begin(new_run(environment=each)) for each in ["local", "other"] * 3][::-1]
    assert [run.id for run in journal.recent(4)] == made[:4]
    assert [run.id for run in journal.recent(4, before=made[3])] == made[4:]
    assert [run.id for run in journal.recent(9, "local")] == made[1::2]
    assert [run.id for run in journal.recent(9, "local", made[1])] == made[3::2]


def test_unfinished_are_the_runs_that_began_and_did_not_end(journal: Journal) -> None:
    begun = [
        journal.begin(new_run(**values))
        for values in ({}, {}, {"environment": "other"}, {"dry_run": True})
    ]
    journal.finish(begun[1], "interrupted", 1)
    assert [run.id for run in journal.unfinished("local")] == begun[:1]


def test_identifiers_sort_by_time() -> None:
    made = [new_id() for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {16}
    assert [each[:11] for each in made] == sorted(each[:11] for each in made)


def test_a_heartbeat_is_seen_at_once(journal: Journal, run_id: str) -> None:
    before = journal.get(run_id).heartbeat
    threading.Event().wait(0.01)
    assert journal.heartbeat(run_id)
    assert journal.get(run_id).heartbeat > before


def test_threads_share_a_journal(journal: Journal) -> None:
    steps = [NewStep(str(number), "x") for number in range(40)]
    run_id = journal.begin(new_run(), steps)

    def work(part: list[NewStep]) -> None:
        for step in part:
            journal.step_started(run_id, step.step_id, 0)
            journal.heartbeat(run_id)
            journal.step_done(run_id, step.step_id, None)

    threads = [threading.Thread(target=work, args=(steps[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(each.state, each.attempts) for each in journal.steps(run_id)} == {("done", 1)}


@pytest.mark.parametrize("mode", [guard.Mode.READ, guard.Mode.DRY_RUN])
def test_a_run_cannot_be_journalled_where_nothing_may_change(
    journal: Journal, run_id: str, mode: guard.Mode
) -> None:
    with guard.scope(mode):
        for change in (
            lambda: journal.begin(new_run()),
            lambda: journal.step_started(run_id, "build", 0),
            lambda: journal.take(run_id),
            lambda: journal.finish(run_id, "done", 0),
        ):
            with pytest.raises(EffectRefused):
                change()
    assert [each.id for each in journal.recent(9)] == [run_id]


def test_a_dry_run_may_record_itself(journal: Journal) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        run_id = journal.begin(new_run(dry_run=True), STEPS)
        journal.heartbeat(run_id)
        journal.finish(run_id, "done", 10)
    assert journal.get(run_id).dry_run
    assert journal.get(run_id).exit_code == 10


def test_a_step_of_a_run_that_was_taken_over_is_refused(place: Place, journal: Journal) -> None:
    run_id = journal.begin(new_run(), STEPS)
    place.as_owner(f"UPDATE script_execution_log SET pid = 1, host = 'other' WHERE id = '{run_id}'")
    with pytest.raises(TakenOver, match="taken over by process 1 on other"):
        journal.step_started(run_id, "build", 0)
    assert not journal.heartbeat(run_id)
