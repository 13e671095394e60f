"""Which processes live, and ending what a killed run left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from ops.kernel import guard, processes
from ops.kernel.errors import EffectRefused

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
FAMILY = "import subprocess, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"


class Child:
    """A process group of its own."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "up\n"
        self.group = self.process.pid
        self.started = processes.started(self.group)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def stubborn() -> Iterator[Child]:
    child = Child(STUBBORN)
    yield child
    child.end()


@pytest.fixture
def family() -> Iterator[Child]:
    child = Child(FAMILY)
    yield child
    child.end()


def test_this_process_lives() -> None:
    assert processes.is_alive(os.getpid(), processes.started(os.getpid()))


def test_another_process_with_the_same_id_is_another_one() -> None:
    assert not processes.is_alive(os.getpid(), processes.started(os.getpid()) - 10)


def test_a_process_that_never_was() -> None:
    assert processes.started(2**22 + 1) == 0
    assert not processes.is_alive(2**22 + 1, 0.0)


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen(["true"])
    started = processes.started(process.pid)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not processes.is_alive(process.pid, started)
    process.wait()


def test_the_whole_group_is_ended(family: Child) -> None:
    assert len(processes.members(family.group, family.started)) == 2
    assert processes.end_group(family.group, family.started) is True
    assert processes.members(family.group, family.started) == []


def test_a_group_outlives_its_first_process(family: Child) -> None:
    family.process.kill()
    family.process.wait()
    assert len(processes.members(family.group, family.started)) == 1
    assert processes.end_group(family.group, family.started) is True
    assert processes.members(family.group, family.started) == []


def test_who_does_not_listen_is_killed(stubborn: Child) -> None:
    began = time.monotonic()
    assert processes.end_group(stubborn.group, stubborn.started, grace=0.5) is True
    assert stubborn.process.wait(5) == -signal.SIGKILL
    assert 0.4 < time.monotonic() - began < 5


def test_a_group_that_is_gone_is_nothing_to_end() -> None:
    assert processes.end_group(2**22 + 1, 0.0) is False


def test_a_group_that_got_an_old_number_is_left_alone(family: Child) -> None:
    assert processes.end_group(family.group, family.started + 3600) is False
    assert family.process.poll() is None


def test_it_is_an_effect(family: Child) -> None:
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused):
        processes.end_group(family.group, family.started)
    assert family.process.poll() is None


def test_a_group_that_ends_at_the_last_moment_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(group: int, number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", gone)
    assert processes.end_group(os.getpgid(0), 0.0)


def test_a_process_that_even_kill_does_not_end_does_not_hold_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []  # such a process waits for its disk; none can be made here
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(number))
    assert processes.end_group(os.getpgid(0), 0.0, grace=0.1)
    assert sent == [signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_processes_that_cannot_be_asked_are_no_members(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> int:
        raise error

    monkeypatch.setattr(os, "getpgid", refuse)
    assert processes.members(1, 0.0) == []
