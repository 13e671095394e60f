"""kill -9 at every event of a run: resume, undo and a new run each bring it to an end."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from ops.kernel import operate, processes, recovery
from ops.kernel.errors import OpsError, Unsettled
from ops.kernel.report import Report
from tests.faults.test_sample_signals import is_gone, wait_for_child
from tests.support import runs
from tests.support.sample import Sample, ended

STEPS = [
    f"step.{kind}:write:{number}" for number in (1, 2) for kind in ("started", "acted", "done")
]
UNDOING = ["step.failed:fail", "run.failed:", "step.undoing:write:1", "step.undone:write:1"]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    folder = tmp_path / "project"
    folder.mkdir()
    return Sample(folder)


def copy_of(sample: Sample, name: str) -> Sample:
    return Sample(shutil.copytree(sample.folder, sample.folder.with_name(name)))


def again(sample: Sample) -> Report:
    return operate.operate(runs.call(sample.folder), runs.sample_plan, runs.lock_of, {})


@pytest.mark.parametrize("event", ["run.started:", *STEPS])
def test_a_killed_run_converges(sample: Sample, event: str) -> None:
    answer = sample.run("sample", fault=f"kill:{event}")
    assert answer.code == -signal.SIGKILL
    run, _ = sample.last()
    assert run.state == "running"
    other, third = copy_of(sample, "other"), copy_of(sample, "third")

    assert recovery.resume(runs.call(sample.folder), run.id, runs.lock_of).exit_code == 0
    state, steps = sample.last()
    assert (state.state, sample.files()) == ("done", ["one", "two"])
    assert set(steps.values()) <= {"done", "skipped"}
    assert again(sample).status == "nothing"

    assert recovery.undo(runs.call(other.folder), run.id, runs.lock_of).exit_code == 0
    assert (other.last()[0].state, other.files()) == ("undone", [])
    assert again(other).status == "ok"

    report = again(third)
    assert third.last()[0].state == ("interrupted" if report.status == "nothing" else "done")
    assert third.files() == ["one", "two"]


def test_a_run_that_ended_is_not_there_to_resume(sample: Sample) -> None:
    assert sample.run("sample", fault="kill:run.done:").code == -signal.SIGKILL
    run, _ = sample.last()
    answer = sample.run("resume", run.id)
    assert (answer.code, answer.err) == (
        3,
        f"error: run {run.id} is done, there is nothing to resume\n  try: inv runs.list\n",
    )


@pytest.mark.parametrize("event", UNDOING)
def test_a_run_killed_while_undoing_converges(sample: Sample, event: str) -> None:
    assert sample.run("work", "--middle", "fail", fault=f"kill:{event}").code == -signal.SIGKILL
    run, _ = sample.last()
    other = copy_of(sample, "other")
    recovery.undo(runs.call(sample.folder), run.id, runs.lock_of)
    assert (sample.last()[0].state, sample.files()) == ("undone", [])
    with pytest.raises(OpsError, match="failed because of rain"):
        recovery.resume(runs.call(other.folder), run.id, runs.lock_of)
    assert (other.last()[0].state, other.files()) == ("undone", [])


@pytest.mark.parametrize("verb", ["resume", "undo", "new"])
def test_the_command_of_a_killed_run_is_ended_first(
    sample: Sample, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = sample.start("work", "--middle", "linger")
    child = wait_for_child(sample, process)
    process.kill()
    ended(process)
    assert not is_gone(child), "it is in a session of its own"
    run, _ = sample.last()
    if verb == "new":
        again(sample)
    elif verb == "undo":
        recovery.undo(runs.call(sample.folder), run.id, runs.lock_of)
    else:
        monkeypatch.setattr("tests.support.sample.LONG", 0)
        recovery.resume(runs.call(sample.folder), run.id, runs.lock_of)
    assert is_gone(child)
    assert not processes.members(child, run.started)


def test_undo_stops_before_what_cannot_be_undone_and_resume_stays_possible(sample: Sample) -> None:
    assert (
        sample.run("work", "--middle", "breaking", fault="kill:step.done:change").code
        == -signal.SIGKILL
    )
    run, _ = sample.last()
    with pytest.raises(Unsettled, match="nothing was undone: Change for good cannot be undone"):
        recovery.undo(runs.call(sample.folder), run.id, runs.lock_of)
    assert sample.files() == ["changed", "one"]
    recovery.resume(runs.call(sample.folder), run.id, runs.lock_of)
    assert (sample.last()[0].state, sample.files()) == ("done", ["changed", "one", "two"])


def test_a_failed_undo_can_be_tried_again(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        sample.run("work", "--middle", "stuck", fault="kill:step.done:stuck").code
        == -signal.SIGKILL
    )
    run, _ = sample.last()
    for _ in range(2):
        with pytest.raises(OpsError, match="undo failed for stuck"):
            recovery.undo(runs.call(sample.folder), run.id, runs.lock_of)
    assert (sample.last()[0].state, sample.files()) == ("undo_failed", ["stuck"])


def test_time_that_is_used_up_is_undone(sample: Sample) -> None:
    answer = sample.run("sample", fault="expire:step.acted:write:2")
    run, steps = sample.last()
    assert (answer.code, run.state, sample.files()) == (1, "undone", [])
    assert steps == {"write:1": "undone", "write:2": "undone"}
    assert "time limit of 10 s reached while Write two" in answer.err


def test_a_killed_run_is_free_at_once(sample: Sample) -> None:
    assert sample.run("sample", fault="kill:step.acted:write:1").code == -signal.SIGKILL
    began = time.monotonic()
    again(sample)
    assert time.monotonic() - began < 5, "a dead holder blocks nobody"
