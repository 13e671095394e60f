"""kill -9 at every event of a run with parallel steps, and in the middle of an undo."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.kernel.journal import Journal, Run
from ops.kernel.store import open_state
from tests.faults.engine_tasks import FILES
from tests.faults.lanes import DONE
from tests.support import forks, runs
from tests.support.project import Ran, clean_variables, finish

KILLED = -9
STEPS = [f"write:{name}" for name in FILES]
BESIDE = STEPS[1:4]


@dataclass
class Place:
    """A project folder whose runs are forks."""

    folder: Path

    def run(self, *words: str, fault: str = "") -> Ran:
        """Run a task with a fault."""
        own = {
            "FAULT": fault,
            "FAULT_TASKS": "tests.faults.engine_tasks",
            "OPS_HOME": str(self.folder),
        }
        argv = [sys.executable, "-m", "tests.faults.run", *words, "--quiet"]
        return finish(forks.start(argv, self.folder, {**clean_variables(), **own}))

    def files(self) -> set[str]:
        """Return which of the plan's files are there."""
        return {name for name in FILES if (self.folder / name).exists()}

    def last(self) -> tuple[Run, dict[str, tuple[str, int]]]:
        """Return the newest run, and state and attempts of its steps."""
        state = open_state(runs.settings(self.folder), create=False)
        assert state is not None
        with state:
            journal = Journal(state)
            (run,) = journal.recent(1)
            return run, {
                each.step_id: (each.state, each.attempts) for each in journal.steps(run.id)
            }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(runs.project(tmp_path))


MOMENTS = ["run.started:", *(f"{event}:{step}" for step in STEPS for event in DONE), "run.done:"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_event_is_resumed_to_its_end(place: Place, moment: str) -> None:
    assert place.run("grouped", fault=f"kill:{moment}").code == KILLED
    run, before = place.last()
    if run.state == "done":
        assert moment == "run.done:"
        return
    ran = place.run("resume", run.id)
    assert ran.code == 0, ran.text
    assert place.files() == set(FILES)
    now, after = place.last()
    assert now.id == run.id and now.state == "done"
    assert {state for state, _ in after.values()} == {"done"}
    # What was done stays done, what had begun is looked at again.
    for step, (state, attempts) in after.items():
        begun, tries = before[step]
        assert attempts == (tries if begun == "done" else tries + 1), (step, state)


@pytest.mark.parametrize("moment", MOMENTS[:-1])
def test_a_run_killed_at_any_event_is_undone_without_a_trace(place: Place, moment: str) -> None:
    assert place.run("grouped", fault=f"kill:{moment}").code == KILLED
    run, before = place.last()
    ran = place.run("undo", run.id)
    assert ran.code == 0, ran.text
    assert not place.files()
    now, after = place.last()
    assert now.id == run.id and now.state == "undone"
    touched = {step for step, (state, _) in before.items() if state != "pending"}
    assert {step for step, (state, _) in after.items() if state == "undone"} == touched


UNDOING = [f"{event}:{step}" for step in STEPS for event in ("step.undoing", "step.undone")]


@pytest.mark.parametrize("moment", UNDOING)
def test_an_undo_that_was_killed_is_gone_on_with(place: Place, moment: str) -> None:
    assert place.run("grouped", fault="kill:step.done:write:last").code == KILLED
    run, _ = place.last()
    assert place.run("undo", run.id, fault=f"kill:{moment}").code == KILLED
    assert place.last()[0].lost
    ran = place.run("undo", run.id)
    assert ran.code == 0, ran.text
    assert not place.files()
    assert place.last()[0].state == "undone"


@pytest.mark.parametrize("step", BESIDE)
def test_sigterm_in_a_parallel_step_undoes_the_run(place: Place, step: str) -> None:
    ran = place.run("grouped", fault=f"SIGTERM:step.started:{step}")
    assert ran.code == 143, ran.text
    assert not place.files()
    assert place.last()[0].state == "undone"


@pytest.mark.parametrize("step", BESIDE)
def test_a_time_limit_in_a_parallel_step_undoes_the_run(place: Place, step: str) -> None:
    ran = place.run("grouped", fault=f"expire:step.started:{step}")
    assert ran.code == 1 and "time limit" in ran.text, ran.text
    assert not place.files()
    assert place.last()[0].state == "undone"
