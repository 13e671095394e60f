"""Runs as a person and a program read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.kernel import run_report
from ops.kernel.errors import ConfigurationError
from ops.kernel.journal import Journal, NewStep
from ops.kernel.store import State
from tests.support.state import Place, new_run

STEPS = [NewStep(name, f"deploy.{name}") for name in ("preflight", "build", "switch")]


@pytest.fixture
def run_id(state: State, tmp_path: Path) -> str:
    """A run whose second step failed and whose first was undone, with its log."""
    journal = Journal(state)
    run_id = journal.begin(new_run(), STEPS)
    log = tmp_path / f"{run_id}.log"
    log.write_text("checked\n")
    journal.step_started(run_id, "preflight", 0)
    journal.step_done(run_id, "preflight", None)
    journal.step_started(run_id, "build", log.stat().st_size)
    log.write_bytes(log.read_bytes() + b"".join(b"line %d \xff\n" % n for n in range(50)))
    journal.step_failed(run_id, "build", "npm run build ended with 1")
    journal.step_undoing(run_id, "preflight")
    journal.step_undone(run_id, "preflight")
    journal.finish(run_id, "undone", 1, "npm run build ended with 1")
    return run_id


def test_a_run_is_shown_with_steps_error_and_the_end_of_its_output(
    state: State, run_id: str, tmp_path: Path
) -> None:
    report = run_report.show(state, run_id, tmp_path, output=False)
    assert report.summary == "deploy local: undone"
    steps, output = report.tables
    assert [tuple(row)[:2] for row in steps.rows] == [
        ("preflight", "undone"),
        ("build", "failed"),
        ("switch", "pending"),
    ]
    assert steps.rows[1][4] == "npm run build ended with 1"
    assert output.title == "end of the output of build"
    assert [row[0] for row in output.rows] == [f"line {n} \ufffd" for n in range(30, 50)]
    assert report.facts["exit code"] == "1"
    assert report.facts["error"] == "npm run build ended with 1"
    assert report.hints == ()
    assert report.data["run"]["steps"][1]["state"] == "failed"


def test_all_output_of_a_run_can_be_read(state: State, run_id: str, tmp_path: Path) -> None:
    report = run_report.show(state, run_id, tmp_path, output=True)
    assert report.text.splitlines()[0] == "checked"
    assert len(report.text.splitlines()) == 51


def test_a_log_on_another_machine_is_said(state: State, run_id: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert len(run_report.show(state, run_id, elsewhere, output=False).tables) == 1
    with pytest.raises(ConfigurationError, match="is not here"):
        run_report.show(state, run_id, elsewhere, output=True)


def test_a_run_that_lost_its_process_says_how_to_go_on(place: Place, state: State) -> None:
    run_id = Journal(state).begin(new_run(), STEPS)
    assert run_report.recent(state, "1", "", "").tables[0].rows[0][4] == "running"
    place.as_owner("UPDATE script_execution_log SET heartbeat = heartbeat - 60")
    assert run_report.recent(state, "1", "", "").tables[0].rows[0][4] == "lost"
    report = run_report.show(state, run_id, place.folder, output=False)
    assert report.summary == "deploy local: lost"
    assert report.hints == (
        f"inv runs.resume {run_id} --env local",
        f"inv runs.undo {run_id} --env local",
    )


def test_runs_are_listed_page_by_page(state: State) -> None:
    made = [Journal(state).begin(new_run(environment=each)) for each in ("local", "b", "local")]
    report = run_report.recent(state, "2", "", "")
    assert [run["id"] for run in report.data["runs"]] == made[:0:-1]
    assert report.hints == (f"inv runs.list --before {made[1]}",)
    assert [r["id"] for r in run_report.recent(state, "2", "", made[1]).data["runs"]] == made[:1]
    assert len(run_report.recent(state, "20", "local", "").data["runs"]) == 2


def test_nothing_recorded_is_no_error() -> None:
    assert run_report.recent(None, "20", "", "").summary == "no runs are recorded"


def test_a_run_without_a_database_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no run yet"):
        run_report.show(None, "x", tmp_path, output=False)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "²", "9" * 30])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    with pytest.raises(ConfigurationError, match="--limit"):
        run_report.recent(None, limit, "", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-0.1, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3725, "62 min 5 s")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert run_report.duration(seconds) == text
