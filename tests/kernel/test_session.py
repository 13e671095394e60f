"""Around a run: observers, heartbeat, audit and end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.kernel import files, operate, session
from ops.kernel.audit import Audit
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, OpsError, StepFailed, Unsettled
from ops.kernel.events import Event
from ops.kernel.journal import Journal
from ops.kernel.plan import Plan, Step
from ops.kernel.settings import load
from ops.kernel.steps import Action, Done, step
from ops.kernel.store import open_state
from tests.support import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runs.project(tmp_path)


def run(folder: Path, *steps: Step, **options: object) -> object:
    def make(context: object) -> Plan:
        return Plan("sample", "development", "files", steps)

    return operate.operate(runs.call(folder, **options), make, runs.lock_of, {})  # type: ignore[arg-type]


def audited(folder: Path) -> list[tuple[str, str, str]]:
    state = open_state(runs.settings(folder), create=False)
    assert state is not None
    with state:
        return [(each.actor, each.action, each.result) for each in Audit(state).rows(10)][::-1]


def write(name: str) -> Step:
    return runs.write.step(name, name=name, text="x")


def test_start_and_end_are_in_the_audit_trail(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_ACTOR", "anna")
    run(folder, write("a"))
    with pytest.raises(StepFailed):
        run(folder, write("b"), runs.fail.step(reason="rain"))
    assert [(action, result) for _, action, result in audited(folder)] == [
        ("sample", "started"), ("sample", "done"), ("sample", "started"), ("sample", "undone"),
    ]  # fmt: skip
    assert all(actor.startswith("anna@") for actor, _, _ in audited(folder))


def test_an_observer_whose_terminal_is_gone_does_not_stop_a_run(folder: Path) -> None:
    def gone(event: Event) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    session.EXTRA_OBSERVERS.append(gone)
    try:
        with pytest.raises(StepFailed, match="rain"):
            run(folder, write("a"), runs.fail.step(reason="rain"))
    finally:
        session.EXTRA_OBSERVERS.clear()
    assert not (folder / "a").exists(), "and not its undo"


def test_a_living_run_gives_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HEARTBEAT", 0.02)
    beats: list[float] = []
    original = Journal.heartbeat

    def beat(self: Journal, run_id: str) -> bool:
        beats.append(time.monotonic())
        if len(beats) == 2:
            raise OpsError("the database is away for a moment")
        return original(self, run_id)

    monkeypatch.setattr(Journal, "heartbeat", beat)

    def wait(event: Event) -> None:
        if event.kind == "step.acted":
            time.sleep(0.3)

    session.EXTRA_OBSERVERS.append(wait)
    try:
        run(folder, write("a"))
    finally:
        session.EXTRA_OBSERVERS.clear()
    assert len(beats) > 3, "one that failed is followed by others"
    count = len(beats)
    time.sleep(0.1)
    assert len(beats) == count, "none after the end"


def test_the_events_of_a_run_come_in_order(folder: Path) -> None:
    seen: list[str] = []
    session.EXTRA_OBSERVERS.append(lambda event: seen.append(f"{event.kind} {event.step}".strip()))
    try:
        with pytest.raises(StepFailed):
            run(folder, write("a"), runs.fail.step(reason="rain"))
    finally:
        session.EXTRA_OBSERVERS.clear()
    assert seen == [
        "run.started", "step.started write:a", "step.acted write:a", "step.done write:a",
        "step.started fail", "step.failed fail", "run.failed", "step.undoing write:a",
        "step.undone write:a", "run.undone",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "shown", "hidden"),
    [
        ({}, "done: Write a", "acted: Write a"),
        ({"verbose": True}, "acted: Write a", "nothing"),
        ({"quiet": True}, "", "Write a"),
        ({"format": "json"}, '"message": "done: Write a"', "acted: Write a"),
    ],
)
def test_what_is_shown_meanwhile(
    folder: Path,
    options: dict[str, object],
    shown: str,
    hidden: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(folder, write("a"), **options)
    err = capsys.readouterr().err
    assert shown in err
    assert hidden not in err


def test_the_level_of_the_log_is_a_setting(folder: Path) -> None:
    call = runs.call(folder)
    call.settings = load(start=folder, environ={"OPS_LOG_LEVEL": "ERROR"})
    operate.operate(call, runs.sample_plan, runs.lock_of, {})
    log = next((folder / ".ops" / "logs").iterdir())
    assert log.read_text() == ""


def _left_a_part(context: Context) -> None:
    raise Unsettled("a migration failed and left a part behind")


def _no_answer(context: Context) -> Done | None:
    if (context.settings.folder / "down").exists():
        raise ConnectionFailed("the database does not answer")
    return None


@step(title="Migrate halfway", limit=10, irreversible=True)
def halfway(context: Context) -> None:
    """Fail in the middle."""
    _left_a_part(context)


@step(title="Migrate and lose the database", limit=10, irreversible=True, check=_no_answer)
def lose(context: Context) -> None:
    """Fail, and nobody can say how far it came."""
    files.write(context.settings.folder / "down", "")
    raise StepFailed("connection lost")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (halfway, "nothing was undone because a step stopped halfway"),
        (lose, "nothing was undone because its state is unknown (the database does not answer)"),
    ],
)
def test_where_undo_could_do_harm_the_evidence_stays(
    folder: Path, broken: Action[Any, None], why: str
) -> None:
    with pytest.raises(OpsError) as caught:
        run(folder, write("a"), broken.step())
    assert (caught.value.why, caught.value.exit_code) == (why, 1)
    assert caught.value.hint.startswith("inv runs.show ")
    assert (folder / "a").exists()
    assert audited(folder)[-1][2] == "stopped"


@dataclass(frozen=True)
class Saved:
    """A backup, and the command that brings it back."""

    restore: str


@step(title="Back up", limit=10)
def back_up(context: Context) -> Saved:
    """Return how to bring a backup back."""
    return Saved("pg_restore /backups/1.dump")


def test_the_way_back_is_named_when_nothing_could_be_undone(folder: Path) -> None:
    with pytest.raises(OpsError) as caught:
        run(folder, back_up.step(), halfway.step())
    assert caught.value.hint.endswith("; the database as it was: pg_restore /backups/1.dump")


@step(
    title="Migrate slowly",
    limit=10,
    irreversible=True,
    check=lambda context: Done("applied", runs.Changed(False)),
)
def applied(context: Context) -> runs.Changed:
    """Never run: it is found applied."""
    raise AssertionError("it ran")


def test_what_was_found_done_is_nobodys_to_undo(folder: Path) -> None:
    with pytest.raises(StepFailed, match="rain"):
        run(folder, write("a"), applied.step(), runs.fail.step(reason="rain"))
    assert not (folder / "a").exists()


@step(title="Report", limit=10)
def progress(context: Context) -> None:
    """Tell how far it is."""
    context.progress("packages", 3, 7)
    context.note("from the cache")


def test_a_step_tells_how_far_it_is(folder: Path) -> None:
    seen: list[Event] = []
    session.EXTRA_OBSERVERS.append(seen.append)
    try:
        run(folder, progress.step())
    finally:
        session.EXTRA_OBSERVERS.clear()
    told = [
        (each.kind, each.step, each.message, each.data)
        for each in seen
        if each.kind in ("note", "progress")
    ]
    assert told == [
        ("progress", "progress", "packages", {"done": 3, "total": 7}),
        ("note", "progress", "from the cache", {}),
    ]
