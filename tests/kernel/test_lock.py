"""The lock of an environment on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path

import pytest

from ops.kernel import actor, guard
from ops.kernel.errors import Busy, EffectRefused, NotPermitted, TakenOver
from ops.kernel.lock import FileLock


@pytest.fixture
def lock(tmp_path: Path) -> FileLock:
    return FileLock(tmp_path / "environments" / "staging" / "lock")


def test_nobody_holds_a_new_lock(lock: FileLock) -> None:
    assert lock.holder() is None
    assert not lock.path.parent.exists(), "looking makes nothing"


def test_its_holder_is_known_while_it_lasts(lock: FileLock) -> None:
    before = time.time()
    with lock.hold("deploy", "anna@laptop") as held:
        held.check()
        holder = lock.holder()
        assert holder is not None
        assert (holder.owner, holder.task, holder.pid, holder.host) == (
            "anna@laptop",
            "deploy",
            os.getpid(),
            actor.host(),
        )
        assert before - 1 <= holder.since <= time.time()
        assert holder.alive
    assert lock.holder() is None


def test_a_second_one_is_told_who_holds_it_and_what_to_do(lock: FileLock) -> None:
    with (
        lock.hold("deploy", "anna@laptop"),
        pytest.raises(Busy) as caught,
        lock.hold("rollback", "ben@desk"),
    ):
        pass
    since = r"since \d\d:\d\d:\d\d"
    assert caught.match(
        rf"^staging is locked by anna@laptop \(deploy, process {os.getpid()}\), {since}$"
    )
    assert caught.value.hint == "wait with --wait, or look: inv lock.status --env staging"


def test_it_is_free_again_after_an_error(lock: FileLock) -> None:
    with pytest.raises(ZeroDivisionError), lock.hold("deploy", "anna@laptop"):
        raise ZeroDivisionError
    with lock.hold("deploy", "anna@laptop"):
        pass


def test_waiting_gets_it_when_the_holder_ends(lock: FileLock) -> None:
    got = threading.Event()

    def second() -> None:
        with lock.hold("deploy", "ben@desk", wait=20):
            got.set()

    with lock.hold("deploy", "anna@laptop"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not got.wait(0.5)
    thread.join(10)
    assert got.is_set()


def test_waiting_has_an_end(lock: FileLock) -> None:
    began = time.monotonic()
    with (
        lock.hold("deploy", "anna@laptop"),
        pytest.raises(Busy),
        lock.hold("deploy", "ben@desk", wait=0.6),
    ):
        pass
    assert 0.5 < time.monotonic() - began < 5


def test_looking_at_it_makes_nobody_busy(lock: FileLock) -> None:
    with lock.hold("deploy", "anna@laptop"):
        pass
    end = threading.Event()

    def look() -> None:
        while not end.is_set():
            lock.holder()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(50):
            with lock.hold("deploy", "anna@laptop"):
                pass
    finally:
        end.set()
        thread.join()


def test_each_holder_has_a_higher_number(lock: FileLock) -> None:
    numbers = []
    for _ in range(3):
        with lock.hold("deploy", "anna@laptop"):
            holder = lock.holder()
            assert holder is not None
            numbers.append(holder.fencing)
        lock.break_()
    assert numbers == [1, 3, 5]


def test_a_holder_whose_lock_was_taken_finds_out(lock: FileLock) -> None:
    with lock.hold("deploy", "anna@laptop") as old:
        lock.break_()
        with pytest.raises(TakenOver, match="the lock of staging was taken away from this run"):
            old.check()
        assert lock.holder() is None
        with lock.hold("deploy", "ben@desk") as new:
            new.check()
            with pytest.raises(TakenOver):
                old.check()
            holder = lock.holder()
            assert holder is not None and holder.owner == "ben@desk"


def test_taking_away_a_lock_that_was_never_held(lock: FileLock) -> None:
    lock.path.parent.mkdir(parents=True)
    lock.break_()
    with lock.hold("deploy", "anna@laptop") as held:
        held.check()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"owner": 1}', "\0" * 100])
def test_a_damaged_record_blocks_nobody(lock: FileLock, content: str) -> None:
    lock.path.parent.mkdir(parents=True)
    lock.path.write_text(content)
    assert lock.holder() is None
    with lock.hold("deploy", "anna@laptop") as held:
        held.check()
    lock.path.write_text(content)
    lock.break_()


def test_a_held_lock_with_a_damaged_record_says_so(lock: FileLock) -> None:
    with lock.hold("deploy", "anna@laptop"):
        lock.path.write_text("{")
        with (
            pytest.raises(Busy, match=r"^staging is locked by another run$"),
            lock.hold("deploy", "ben@desk"),
        ):
            pass


def test_a_holder_of_another_machine_is_not_known_to_live(lock: FileLock) -> None:
    with lock.hold("deploy", "anna@laptop"):
        record = json.loads(lock.path.read_text())
        lock.path.write_text(json.dumps(record | {"host": "elsewhere"}))
        holder = lock.holder()
        assert holder is not None and not holder.alive


@pytest.mark.parametrize("mode", [guard.Mode.READ, guard.Mode.DRY_RUN])
def test_it_is_not_taken_where_nothing_may_change(lock: FileLock, mode: guard.Mode) -> None:
    with guard.scope(mode), pytest.raises(EffectRefused), lock.hold("deploy", "anna@laptop"):
        pass
    assert not lock.path.parent.exists()


def test_a_lock_of_somebody_else_is_refused_in_one_line(lock: FileLock) -> None:
    lock.path.mkdir(parents=True)  # also root cannot open a folder for writing
    with (
        pytest.raises(Exception, match=f"cannot open {lock.path}: Is a directory"),
        lock.hold("deploy", "anna@laptop"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_lock_that_may_not_be_read_is_not_a_free_one(lock: FileLock) -> None:
    lock.path.parent.mkdir(parents=True)
    lock.path.touch(mode=0)
    with pytest.raises(NotPermitted):
        lock.holder()


def test_a_lock_whose_file_was_replaced_meanwhile_is_taken_anew(
    lock: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock.hold("deploy", "anna@laptop"):
        pass
    real = fcntl.flock
    calls: list[int] = []

    def replace_first(handle: int, how: int) -> None:
        if (
            not calls
        ):  # between opening the file and locking it, as `lock.release` of somebody else does
            lock.path.rename(lock.path.with_name("old"))
            lock.path.write_text("{}")
        calls.append(how)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    with lock.hold("deploy", "anna@laptop") as held:
        held.check()
        assert lock.path.exists(), "it holds the new file, not the one that was moved away"
    assert len(calls) >= 2
