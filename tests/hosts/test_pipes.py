"""Commands whose output or input is data."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.hosts import pipes
from ops.kernel import guard
from ops.kernel.deadline import Deadline
from ops.kernel.errors import DependencyError, EffectRefused, StepFailed, TimeLimitReached
from tests.support.local import Project

SH = ("sh", "-c")
MUCH = 50_000_000


def drain(output: pipes.Output) -> bytes:
    return b"".join(iter(output.read, b""))


def test_output_of_any_size_is_read_to_its_end(made: Project) -> None:
    digest, size = hashlib.sha256(), 0
    with pipes.reading(made.context, ["head", "-c", str(MUCH), "/dev/zero"]) as output:
        while data := output.read():
            digest.update(data)
            size += len(data)
    assert (size, digest.digest()) == (MUCH, hashlib.sha256(bytes(MUCH)).digest())


def test_input_of_any_size_arrives_whole(made: Project, tmp_path: Path) -> None:
    chunk = os.urandom(1_000_000)
    with pipes.writing(made.context, [*SH, f"cat > {tmp_path}/it"]) as command:
        for _ in range(20):
            assert command.write(chunk) == len(chunk)
            command.flush()
    assert (tmp_path / "it").read_bytes() == chunk * 20


def test_errors_go_to_the_log_and_into_the_message(made: Project) -> None:
    with (
        pytest.raises(StepFailed, match="exit code 3") as failed,
        pipes.reading(made.context, [*SH, "echo data; echo no such table >&2; exit 3"]) as it,
    ):
        assert drain(it) == b"data\n", "nothing of the errors gets into the data"
    assert failed.value.why == "no such table"
    assert made.output == [b"no such table\n"]


def test_a_killed_command_is_an_error_although_its_output_ended(made: Project) -> None:
    with (
        pytest.raises(StepFailed, match="ended by SIGKILL"),
        pipes.reading(made.context, [*SH, "echo half; kill -9 $$"]) as output,
    ):
        assert drain(output) == b"half\n"


def test_a_command_that_refuses_its_input_says_why_itself(made: Project) -> None:
    with (
        pytest.raises(StepFailed, match="exit code 4") as failed,
        pipes.writing(made.context, [*SH, "echo not an archive >&2; exit 4"]) as command,
    ):
        while True:
            command.write(bytes(100_000))
    assert failed.value.why == "not an archive"


def test_an_error_of_the_block_ends_the_command_and_goes_on(made: Project) -> None:
    pid = 0
    with (
        pytest.raises(ZeroDivisionError),
        pipes.reading(made.context, [*SH, "echo $$; exec sleep 60"]) as output,
    ):
        pid = int(output.read())
        raise ZeroDivisionError
    assert not psutil.pid_exists(pid)


def test_a_command_that_hears_no_term_is_killed(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.hosts.runner.GRACE", 0.2)
    pid = 0
    with (
        pytest.raises(ZeroDivisionError),
        pipes.reading(made.context, [*SH, "trap '' TERM; echo $$; read x < /dev/zero"]) as it,
    ):
        pid = int(it.read())
        raise ZeroDivisionError
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("script", ["exec sleep 60", "exec > /dev/null 2>&1; sleep 60"])
def test_time_is_limited(made: Project, script: str) -> None:
    context = replace(made.context, deadline=Deadline(0.5))
    began = time.monotonic()
    with (
        pytest.raises(TimeLimitReached),
        pipes.reading(context, [*SH, script]) as output,
    ):
        drain(output)
    assert time.monotonic() - began < 30, "far from the sixty seconds of the command"


def test_time_is_limited_for_a_command_that_takes_no_input(made: Project) -> None:
    context = replace(made.context, deadline=Deadline(0.5))
    with (
        pytest.raises(TimeLimitReached),
        pipes.writing(context, ["sleep", "60"]) as command,
    ):
        command.write(bytes(10_000_000))


def test_a_missing_program_is_named(made: Project) -> None:
    with (
        pytest.raises(DependencyError, match="pg_nothing is not installed"),
        pipes.reading(made.context, ["pg_nothing"]),
    ):
        pass


def test_only_a_command_that_reads_may_run_in_a_dry_run(made: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        with pipes.reading(made.context, ["echo", "x"]) as output:
            assert drain(output) == b"x\n"
        with pytest.raises(EffectRefused), pipes.writing(made.context, ["cat"]):
            pass
        with pytest.raises(ZeroDivisionError), pipes.reading(made.context, ["sleep", "60"]):
            raise ZeroDivisionError  # ending our own child is no effect


def test_its_group_is_recorded_for_whoever_comes_after_us(made: Project) -> None:
    seen: list[tuple[int, float]] = []
    context = replace(made.context, child=lambda pid, started: seen.append((pid, started)))
    with pipes.reading(context, [*SH, "echo $$"]) as output:
        pid = int(drain(output))
    assert seen and seen[0][0] == pid and seen[0][1] > 0
