"""The lock between processes: one works, the other waits or stops, and the dead hold nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import runs
from tests.support.sample import Sample, ended


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


@pytest.fixture
def holder(sample: Sample) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock and stands still in the middle of its first step."""
    process = sample.start("sample", fault="SIGSTOP:step.acted:write:1", OPS_ACTOR="anna")
    os.waitpid(process.pid, os.WUNTRACED)
    yield process
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def test_the_second_stops_with_the_holders_name(
    sample: Sample, holder: subprocess.Popen[str]
) -> None:
    answer = sample.run("sample")
    assert answer.code == 1
    first, second = answer.err.splitlines()
    assert first.startswith("error: development is locked by anna@")
    assert f"(sample, process {holder.pid}), since " in first
    assert second == "  try: wait with --wait, or look: inv lock.status --env development"
    assert sample.last()[0].actor.startswith("anna@"), "the second left no run"


def test_the_second_waits_until_the_first_is_done(
    sample: Sample, holder: subprocess.Popen[str]
) -> None:
    second = sample.start("sample", "--wait")
    assert second.stderr is not None
    line = second.stderr.readline()
    assert (
        f"waiting up to 15 min for anna@{os.uname().nodename} (sample, process {holder.pid})"
        in line
    )
    holder.send_signal(signal.SIGCONT)
    assert ended(holder).code == 0
    answer = ended(second)
    # What it planned to do has been done by the first meanwhile.
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "nothing to change: both files are there"
    assert sample.files() == ["one", "two"]


def test_a_killed_holder_blocks_nobody(sample: Sample, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    holder_run = sample.last()[0].id
    assert sample.run("sample").code == 0
    run, _ = sample.last()
    assert (run.state, run.id != holder_run) == ("done", True)
    assert runs.lock_of(runs.context(sample.folder)).holder() is None


def test_a_holder_whose_lock_was_taken_stops_at_its_next_step(
    sample: Sample, holder: subprocess.Popen[str]
) -> None:
    assert sample.run("take-lock").code == 0
    old_run = sample.last()[0].id
    second = sample.run("work", "--middle", "breaking")
    assert second.code == 0, second.err
    holder.send_signal(signal.SIGCONT)
    answer = ended(holder)
    assert answer.code == 1
    assert "was taken" in answer.err.splitlines()[-2]
    assert sample.files() == ["changed", "one", "two"], "the second one's work stands"
    assert sample.last()[0].id != old_run
