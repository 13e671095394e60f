"""Which runs may be taken up again, and which not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import ops
from ops.kernel import journal, operate, owner, recovery, session
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    NotPermitted,
    OpsError,
    StepFailed,
    TakenOver,
    Unsettled,
)
from ops.kernel.journal import Journal
from ops.kernel.plan import Plan, Step
from ops.kernel.store import open_state
from tests.support import runs
from tests.support.state import new_run

GONE = owner.Owner(owner.host(), 2**22 + 1, 0.0)
"""A process that cannot exist."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return runs.project(tmp_path)


def begin(
    folder: Path, by: owner.Owner = GONE, environment: str = "development", **changes: Any
) -> str:
    """Record a run of the sample's plan that did nothing yet, by another process."""
    context = runs.context(folder)
    plan = dataclasses.replace(runs.sample_plan(context), environment=environment)
    values = {
        "environment": environment,
        "plan": plan.to_json(),
        "invops_version": ops.__version__,
        **changes,
    }
    state = open_state(runs.settings(folder))
    assert state is not None
    with state, pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "current", lambda: by)
        steps = [journal.NewStep(step.id, step.action, dict(step.arguments)) for step in plan.steps]
        return Journal(state).begin(new_run(**values), steps)


def resume(folder: Path, run_id: str, environment: str = "", **options: Any) -> Any:
    return recovery.resume(runs.call(folder, environment, **options), run_id, runs.lock_of)


def state_of(folder: Path, run_id: str) -> str:
    state = open_state(runs.settings(folder), create=False)
    assert state is not None
    with state:
        return Journal(state).get(run_id).state


def test_nothing_was_ever_run(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no run x"):
        resume(folder, "x")
    assert not (folder / ".ops").exists()


def test_an_unknown_run(folder: Path) -> None:
    begin(folder)
    with pytest.raises(ConfigurationError, match="there is no run x"):
        resume(folder, "x")


def test_the_environment_comes_from_the_run(folder: Path) -> None:
    run_id = begin(folder, environment="guarded")
    with pytest.raises(ConfigurationError, match="this needs a confirmation"):
        resume(folder, run_id)
    assert resume(folder, run_id, confirm="guarded").exit_code == 0
    assert (folder / "locks" / "guarded" / "lock").is_file()


def test_another_environment_than_the_runs_is_refused(folder: Path) -> None:
    run_id = begin(folder)
    with pytest.raises(ConfigurationError, match=f"run {run_id} belongs to development") as caught:
        resume(folder, run_id, "guarded")
    assert caught.value.hint == f"inv runs.resume {run_id}"


def test_the_level_of_the_environment_holds(folder: Path) -> None:
    run_id = begin(folder, environment="looking")
    with pytest.raises(NotPermitted, match="looking allows read"):
        resume(folder, run_id)


def test_a_run_that_another_followed(folder: Path) -> None:
    first, second = begin(folder), begin(folder)
    with pytest.raises(
        ConfigurationError, match=f"run {first} was followed by {second}: the target has moved on"
    ):
        resume(folder, first)
    other = begin(folder, environment="guarded")
    assert resume(folder, second).exit_code == 0, f"{other} is of another environment"


@pytest.mark.parametrize("changes", [{"invops_version": "0.0.1"}, {"plan_schema": 999}])
def test_a_run_of_another_version(folder: Path, changes: dict[str, Any]) -> None:
    run_id = begin(folder, **changes)
    with pytest.raises(ConfigurationError, match="was planned by invops"):
        resume(folder, run_id)


def test_a_run_that_lives(folder: Path) -> None:
    run_id = begin(folder, by=owner.current())
    with pytest.raises(Busy, match=f"run {run_id} is still alive"):
        resume(folder, run_id)


def test_a_run_whose_lock_is_held(folder: Path) -> None:
    run_id = begin(folder)
    with (
        runs.lock_of(runs.context(folder)).hold("deploy", "anna@laptop"),
        pytest.raises(Busy, match=r"locked by anna@laptop \(deploy, process"),
    ):
        resume(folder, run_id)
    assert state_of(folder, run_id) == "running"


def test_a_dry_run_of_resume_changes_nothing(folder: Path) -> None:
    run_id = begin(folder)
    report = resume(folder, run_id, dry_run=True)
    assert (report.exit_code, report.summary) == (10, f"dry run: would resume run {run_id}")
    assert state_of(folder, run_id) == "running"


def test_hosts_that_the_run_left_alone_are_left_alone_again(folder: Path) -> None:
    gone = {"web2": "--limit"}
    plan = dataclasses.replace(runs.sample_plan(runs.context(folder)), left_out=gone)
    run_id = begin(folder, plan=plan.to_json())
    seen: list[dict[str, str]] = []

    def lock_of(context: Any) -> Any:
        seen.append(dict(context.settings.left_out))
        return runs.lock_of(context)

    recovery.resume(runs.call(folder), run_id, lock_of)

    assert seen == [gone]


def test_a_new_run_closes_dead_ones_of_its_environment_only(folder: Path) -> None:
    dead, other, living = (
        begin(folder),
        begin(folder, environment="guarded"),
        begin(folder, by=owner.current()),
    )
    operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {})
    assert [state_of(folder, each) for each in (dead, other, living)] == [
        "interrupted",
        "running",
        "running",
    ]


@pytest.mark.parametrize("killed", [True, False])
def test_what_a_killed_run_had_begun_may_change_the_plan_of_the_next(
    folder: Path, killed: bool
) -> None:
    """A job on a host goes on for a moment without its deployer."""
    times: list[int] = []

    def moving(context: Any) -> Plan:
        times.append(1)
        return dataclasses.replace(runs.sample_plan(context), seen={"times": len(times)})

    if killed:
        begin(folder)
        assert operate.operate(runs.call(folder), moving, runs.lock_of, {}).status == "ok"
    else:
        with pytest.raises(StepFailed, match="has changed since the plan was shown"):
            operate.operate(runs.call(folder), moving, runs.lock_of, {})
    assert len(times) == 2


def test_a_run_that_changes_nothing_closes_dead_ones_too(folder: Path) -> None:
    dead = begin(folder)
    for name in ("one", "two"):
        (folder / name).write_text("x")
    call = runs.call(folder, dry_run=True)
    assert operate.operate(call, runs.sample_plan, runs.lock_of, {}).status == "dry-run"
    assert state_of(folder, dead) == "running", "a dry run writes nothing"
    assert (
        operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {}).status == "nothing"
    )
    assert state_of(folder, dead) == "interrupted"


def test_a_run_whose_lock_was_taken_touches_nothing_more(folder: Path) -> None:
    lock = runs.lock_of(runs.context(folder))

    def losing(context: Any) -> Plan:
        steps = (
            runs.write.step("1", name="one", text="x"),
            runs.write.step("2", name="two", text="x"),
        )
        return Plan("sample", context.settings.name, "files", steps)

    def take(event: Any) -> None:
        if event.kind == "step.done":
            lock.break_()

    session.EXTRA_OBSERVERS.append(take)
    try:
        with pytest.raises(TakenOver, match="the lock of development was taken away from this run"):
            operate.operate(runs.call(folder), losing, runs.lock_of, {})
    finally:
        session.EXTRA_OBSERVERS.clear()
    assert (folder / "one").exists(), "somebody else works here now: it is not undone"
    assert not (folder / "two").exists()
    state = open_state(runs.settings(folder))
    assert state is not None
    with state:
        assert Journal(state).recent(1)[0].state == "stopped"


def begun(folder: Path, step: Step, result: Any) -> str:
    """Record a run that was killed after its only step."""
    plan = Plan("sample", "development", "files", (step,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "sample_plan", lambda _: plan)
        run_id = begin(folder)
    state = open_state(runs.settings(folder))
    assert state is not None
    with state, pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "current", lambda: GONE)
        Journal(state).step_started(run_id, step.id, 0)
        Journal(state).step_done(run_id, step.id, result)
    return run_id


def test_what_a_killed_run_did_is_undone(folder: Path) -> None:
    (folder / "one").write_text("a")
    written = {"path": str(folder / "one"), "size": 1}
    run_id = begun(folder, runs.write.step(name="one", text="a"), written)
    report = recovery.undo(runs.call(folder, format="json"), run_id, runs.lock_of)
    assert (report.exit_code, state_of(folder, run_id)) == (0, "undone")
    assert not (folder / "one").exists()


@pytest.mark.parametrize(
    ("step", "result", "error", "words", "left"),
    [
        (
            runs.change.step(compatible=False),
            {"compatible": False},
            Unsettled,
            "nothing was undone: Change for good cannot be undone",
            "interrupted",
        ),
        (runs.stuck.step(), None, StepFailed, "undo failed for", "undo_failed"),
    ],
)
def test_what_cannot_be_undone_is_told_and_stays(
    folder: Path, step: Step, result: Any, error: type[OpsError], words: str, left: str
) -> None:
    run_id = begun(folder, step, result)
    with pytest.raises(error, match=words):
        recovery.undo(runs.call(folder), run_id, runs.lock_of)
    assert state_of(folder, run_id) == left
