"""Signals at a process that runs a task: one is undone, a second leaves the journal, and the next process goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from ops.kernel.journal import Journal
from ops.kernel.store import open_state
from tests.support import runs
from tests.support.sample import Sample, ended


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


def wait_for_child(sample: Sample, process: subprocess.Popen[str]) -> int:
    """Wait until the run's command works; return its process group."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        state = open_state(runs.settings(sample.folder), create=False)
        if state is not None:
            with state:
                groups = [
                    s.process_group
                    for r in Journal(state).recent(1)
                    for s in Journal(state).steps(r.id)
                ]
            if found := [group for group in groups if group]:
                return found[0]
        time.sleep(0.1)
    raise AssertionError(ended(process))


def is_gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_one_signal_ends_the_atomic_step_and_undoes(sample: Sample, name: str, code: int) -> None:
    answer = sample.run("sample", fault=f"{name}:step.acted:write:1")
    run, steps = sample.last()
    assert (answer.code, run.exit_code, run.state) == (code, code, "undone")
    assert steps == {"write:1": "undone", "write:2": "pending"}
    assert sample.files() == []
    assert answer.err.index("done: Write one") < answer.err.index("undone: Write one")
    shown = "SIGTERM" if name == "SIGHUP" else name
    assert answer.err.endswith(f"error: stopped by {shown}\n  try: inv runs.show {run.id}\n")
    assert sample.run("sample").code == 0


def test_an_atomic_command_is_not_cut_short(sample: Sample) -> None:
    answer = sample.run("work", "--middle", "ponder", fault="SIGTERM:step.started:ponder")
    run, steps = sample.last()
    assert (answer.code, run.state) == (143, "undone")
    assert steps == {"write:1": "undone", "ponder": "done", "write:2": "pending"}
    assert sample.files() == ["slow"]


def test_an_interruptible_command_is_ended_at_once(sample: Sample) -> None:
    process = sample.start("work", "--middle", "linger")
    child = wait_for_child(sample, process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    answer = ended(process)
    assert (answer.code, sample.last()[0].state) == (130, "undone")
    assert time.monotonic() - began < 10
    assert is_gone(child)
    assert sample.files() == []


def test_a_signal_just_before_an_interruptible_command_ends_it_as_well(sample: Sample) -> None:
    answer = sample.run("work", "--middle", "linger", fault="SIGINT:step.started:linger")
    assert (answer.code, sample.last()[0].state) == (130, "undone")


def test_a_second_signal_leaves_at_once_and_says_how_to_go_on(
    sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answer = sample.run("sample", fault="SIGINT:step.acted:write:1,SIGINT:step.done:write:1")
    run, steps = sample.last()
    assert (answer.code, run.state, steps) == (
        130,
        "running",
        {"write:1": "done", "write:2": "pending"},
    )
    assert answer.err.endswith(
        f"error: left as it is by a second signal: run {run.id}\n"
        f"  try: go on with `inv runs.resume {run.id}` or `inv runs.undo {run.id}`\n"
    )
    other = Sample(
        shutil.copytree(sample.folder, tmp_path_factory.mktemp("copy"), dirs_exist_ok=True)
    )
    assert sample.run("resume", run.id).code == 0
    assert (sample.last()[0].state, sample.files()) == ("done", ["one", "two"])
    assert other.run("undo", run.id).code == 0
    assert (other.last()[0].state, other.files()) == ("undone", [])


def test_a_second_signal_ends_an_atomic_command_too(sample: Sample) -> None:
    process = sample.start("work", "--middle", "ponder,linger", fault="SIGSTOP:step.started:ponder")
    os.waitpid(process.pid, os.WUNTRACED)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        process.send_signal(number)
    answer = ended(process)
    assert answer.code in (130, 143)
    assert sample.last()[0].state == "running"
    assert "left as it is by a second signal" in answer.err


def test_a_signal_during_undo_lets_it_end(sample: Sample) -> None:
    answer = sample.run("work", "--middle", "fail", fault="SIGTERM:step.undoing:write:1")
    assert (answer.code, sample.last()[0].state, sample.files()) == (1, "undone", [])


def test_two_signals_during_undo_leave_the_rest_to_another_process(sample: Sample) -> None:
    answer = sample.run(
        "work", "--middle", "fail", fault="SIGTERM:step.undoing:write:1,SIGTERM:step.undone:write:1"
    )
    run, _ = sample.last()
    assert (answer.code, run.state) == (143, "running")
    assert f"inv runs.undo {run.id}" in answer.err
    assert sample.run("undo", run.id).code == 0
    assert (sample.last()[0].state, sample.files()) == ("undone", [])


def test_ctrl_c_while_waiting_for_the_lock_ends_with_130(sample: Sample) -> None:
    holder = sample.start("sample", fault="SIGSTOP:step.started:write:1")
    os.waitpid(holder.pid, os.WUNTRACED)
    waiting = sample.start("sample", "--wait")
    assert waiting.stderr is not None
    assert "waiting up to 15 min for" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    answer = ended(waiting)
    assert (answer.code, answer.err) == (130, "error: interrupted\n")
    holder.send_signal(signal.SIGCONT)
    assert ended(holder).code == 0
