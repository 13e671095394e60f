"""The whole way of a changing task, on a real journal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ops.kernel import operate, session
from ops.kernel.audit import Audit
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted, OpsError, StepFailed
from ops.kernel.events import Event
from ops.kernel.journal import Journal
from ops.kernel.plan import Plan, Step
from ops.kernel.store import open_state
from tests.support import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runs.project(tmp_path)


def states(folder: Path) -> tuple[str, dict[str, str]]:
    state = open_state(runs.settings(folder), create=False)
    assert state is not None
    with state:
        journal = Journal(state)
        run = journal.recent(1)[0]
        return run.state, {step.step_id: step.state for step in journal.steps(run.id)}


def plan_of(*steps: Step) -> object:
    def make(context: Context) -> Plan:
        return Plan("sample", context.settings.name, "files", steps)

    return make


def run(folder: Path, *steps: Step) -> None:
    operate.operate(runs.call(folder), plan_of(*steps), None, {})  # type: ignore[arg-type]


def test_a_run_does_every_step_and_records_it(folder: Path) -> None:
    report = operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {})
    assert (folder / "two").read_text() == str(folder / "one")
    assert states(folder) == ("done", {"write:1": "done", "write:2": "done"})
    assert report.exit_code == 0
    log = Path(report.facts["log"])
    assert log.stat().st_mode & 0o777 == 0o600
    assert "done: Write one" in log.read_text()


def test_a_second_run_says_that_there_is_nothing_to_change_and_records_nothing(
    folder: Path,
) -> None:
    operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {})
    report = operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {})
    assert (report.status, report.summary) == ("nothing", "nothing to change: both files are there")


def test_a_dry_run_shows_the_plan_and_changes_nothing(folder: Path) -> None:
    call = runs.call(folder, dry_run=True)
    report = operate.operate(call, runs.sample_plan, runs.lock_of, {})
    assert (report.exit_code, report.status) == (10, "dry-run")
    assert "Write one" in call.out.getvalue()  # type: ignore[attr-defined]
    assert sorted(path.name for path in folder.iterdir()) == ["ops.toml"]
    json.dumps(report.data)


def test_a_dry_run_with_nothing_to_change_is_a_dry_run_too(folder: Path) -> None:
    operate.operate(runs.call(folder), runs.sample_plan, runs.lock_of, {})
    report = operate.operate(runs.call(folder, dry_run=True), runs.sample_plan, runs.lock_of, {})
    assert (report.exit_code, report.status) == (10, "dry-run")
    assert report.summary == "nothing to change: both files are there"


def test_a_plan_of_a_dry_run_can_be_demanded(folder: Path) -> None:
    digest = operate.operate(runs.call(folder, dry_run=True), runs.sample_plan, None, {}).facts[
        "plan"
    ]
    with pytest.raises(ConfigurationError, match=f"the plan is {digest} now, not 000000000000"):
        operate.operate(runs.call(folder, plan="000000000000"), runs.sample_plan, None, {})
    assert (
        operate.operate(runs.call(folder, plan=digest), runs.sample_plan, None, {}).exit_code == 0
    )


def test_a_target_that_changed_after_the_plan_was_shown_is_not_touched(folder: Path) -> None:
    def moving(context: Context) -> Plan:
        seen = {"times": len(list(folder.glob("seen*")))}
        (folder / f"seen{seen['times']}").touch()
        return Plan(
            "sample", "development", "files", (runs.write.step(name="one", text="x"),), seen
        )

    with pytest.raises(StepFailed, match="has changed since the plan was shown"):
        operate.operate(runs.call(folder), moving, runs.lock_of, {})
    assert not (folder / "one").exists()


def test_a_failed_step_takes_back_what_was_done_in_reverse(folder: Path) -> None:
    events: list[Event] = []
    session.EXTRA_OBSERVERS.append(events.append)
    try:
        with pytest.raises(StepFailed, match="failed because of rain"):
            run(
                folder,
                runs.write.step("1", name="a", text="x"),
                runs.write.step("2", name="b", text="x"),
                runs.fail.step(reason="rain"),
            )
    finally:
        session.EXTRA_OBSERVERS.clear()
    assert not (folder / "a").exists() and not (folder / "b").exists()
    assert [event.step for event in events if event.kind == "step.undone"] == ["write:2", "write:1"]
    assert states(folder) == (
        "undone",
        {"write:1": "undone", "write:2": "undone", "fail": "failed"},
    )


def test_what_was_there_before_is_not_undone(folder: Path) -> None:
    (folder / "a").write_text("x")
    with pytest.raises(StepFailed):
        run(folder, runs.write.step(name="a", text="x"), runs.fail.step(reason="rain"))
    assert (folder / "a").read_text() == "x"


def test_steps_of_a_group_all_end_before_the_undo(folder: Path) -> None:
    with pytest.raises(StepFailed):
        run(
            folder,
            runs.write.step(group="g", name="a", text="x"),
            runs.fail.step(group="g", reason="rain"),
        )
    assert not (folder / "a").exists()


def test_an_unexpected_error_becomes_one_line_and_its_traceback_goes_to_the_log(
    folder: Path,
) -> None:
    with pytest.raises(
        StepFailed, match="Crash: unexpected error: ZeroDivisionError: division by zero"
    ):
        run(folder, runs.crash.step())
    log = next((folder / ".ops" / "logs").iterdir()).read_text()
    assert "Traceback" in log


def test_a_step_that_takes_too_long_fails(folder: Path) -> None:
    with pytest.raises(StepFailed, match=r"time limit of 0\.05 s"):
        run(folder, runs.slow.step(seconds=0.1))


def test_an_incompatible_irreversible_step_stops_the_undo_and_keeps_the_evidence(
    folder: Path,
) -> None:
    steps = (
        runs.write.step(name="a", text="x"),
        runs.change.step(compatible=False),
        runs.fail.step(reason="rain"),
    )
    with pytest.raises(
        OpsError, match="nothing was undone because Change for good cannot be undone"
    ):
        run(folder, *steps)
    assert (folder / "a").exists()
    assert states(folder)[0] == "stopped"


def test_a_compatible_irreversible_step_is_passed_over(folder: Path) -> None:
    steps = (
        runs.write.step(name="a", text="x"),
        runs.change.step(compatible=True),
        runs.fail.step(reason="rain"),
    )
    with pytest.raises(StepFailed):
        run(folder, *steps)
    assert not (folder / "a").exists() and (folder / "changed").exists()


def test_a_broken_undo_does_not_stop_the_others(folder: Path) -> None:
    with pytest.raises(OpsError, match="and undo failed for stuck"):
        run(
            folder,
            runs.write.step(name="a", text="x"),
            runs.stuck.step(),
            runs.fail.step(reason="rain"),
        )
    assert not (folder / "a").exists()
    assert states(folder)[0] == "undo_failed"


def test_the_cap_of_an_environment_holds(folder: Path) -> None:
    with pytest.raises(NotPermitted, match="sample needs level write, looking allows read"):
        operate.operate(runs.call(folder, "looking"), runs.sample_plan, None, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is no terminal to ask on"),
        ({"yes": True}, "there is no terminal to ask on"),
        ({"confirm": "other"}, "--confirm 'other' is not 'guarded'"),
    ],
)
def test_a_protected_environment_wants_its_name(
    folder: Path, options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigurationError, match=message):
        operate.operate(runs.call(folder, "guarded", **options), runs.sample_plan, None, {})
    assert (
        operate.operate(
            runs.call(folder, "guarded", confirm="guarded"), runs.sample_plan, None, {}
        ).exit_code
        == 0
    )


def moving(folder: Path, ends: bool = False) -> Callable[[Context], Plan]:
    """Return a plan function that sees something else each time, and at last perhaps nothing to do."""
    seen: list[int] = []

    def make(context: Context) -> Plan:
        seen.append(len(seen))
        if ends and len(seen) > 1:
            return Plan("sample", context.settings.name, "files", (), nothing="another did it")
        steps = (runs.write.step(name="one", text="x"),)
        return Plan("sample", context.settings.name, "files", steps, {"times": len(seen)})

    return make


def test_whoever_waits_gets_the_plan_as_it_is_then(folder: Path) -> None:
    call = runs.call(folder, wait=True)
    assert operate.operate(call, moving(folder), runs.lock_of, {}).status == "ok"
    assert call.out.getvalue().count("Write one") == 2, "it is shown again"  # type: ignore[attr-defined]
    assert (folder / "one").exists()


@pytest.mark.parametrize("wait", [True, False])
def test_what_another_run_did_meanwhile_is_not_done_again(folder: Path, wait: bool) -> None:
    call = runs.call(folder, wait=wait)
    assert operate.operate(call, moving(folder, ends=True), runs.lock_of, {}).status == "nothing"
    assert not (folder / "one").exists()


def test_a_plan_that_was_demanded_is_not_exchanged_while_waiting(folder: Path) -> None:
    digest = operate.operate(runs.call(folder, dry_run=True), moving(folder), None, {}).facts[
        "plan"
    ]
    with pytest.raises(StepFailed, match="has changed since the plan was shown"):
        operate.operate(runs.call(folder, wait=True, plan=digest), moving(folder), runs.lock_of, {})


def test_recorded_facts_are_in_each_record_of_the_audit_trail_and_in_the_run(folder: Path) -> None:
    facts = {"override": {"reason": "it burns"}}

    def make(context: Context) -> Plan:
        return replace(runs.sample_plan(context), recorded=facts)

    operate.operate(runs.call(folder), make, None, {})
    state = open_state(runs.settings(folder), create=False)
    assert state is not None
    with state:
        (run,) = Journal(state).recent(1)
        assert Plan.from_json(run.plan).recorded == facts
        rows = Audit(state).rows(10)
    assert [(each.result, each.details) for each in rows] == [
        ("done", {"run": run.id, **facts}),
        ("started", {"run": run.id, **facts}),
    ]
