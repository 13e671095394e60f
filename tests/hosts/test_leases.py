"""The lock of an environment on several machines; each machine is a folder of its own here."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.hosts import envlock, leases
from ops.hosts.agents import Pipe
from ops.hosts.leases import Leases
from ops.hosts.machine import Machine
from ops.hosts.machines import Machines
from ops.hosts.this_machine import ThisMachine
from ops.kernel import guard
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    TakenOver,
)
from ops.kernel.lock import FileLock
from tests.support.local import eventually, project
from tests.support.machines import World, world
from tests.support.places import ROOT, clean_variables

NAMES = ("a", "b", "c")
BERT: dict[str, Any] = {"owner": "bert@ci", "task": "deploy", "host": "ci", "pid": 7}
BERT |= {"started": 1.0, "processes": "somewhere else"}


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def some(made: World, *names: str) -> Machines:
    """Return machines with these names, as a process of its own would have them."""
    every: list[Machine] = []
    for name in names or NAMES:
        machine = ThisMachine(dataclasses.replace(made.place, base=str(made.folder / name)))
        machine.name = name
        every.append(made.opened(machine))
    return Machines(every)


def lock(made: World, *names: str) -> Leases:
    return Leases(made.context(), some(made, *names))


def taken(made: World, name: str, ttl: float = 60, **more: Any) -> None:
    """Let somebody on another machine hold the lease of one."""
    arguments = {"run": "bert", "ttl": ttl, "holder": {**BERT, **more}}
    some(made, name)[name].call(made.context(), "lease.acquire", arguments, reads=False)


def holders(made: World) -> list[str]:
    """Return who holds each machine's lease."""
    looked = some(made).each(
        lambda machine: machine.call(made.context(), "lease.look", reads=True)["holder"]
    )
    return [held["owner"] if held else "" for held in looked.complete().values()]


def test_all_leases_are_held_for_the_block(made: World) -> None:
    one = lock(made)
    with one.hold("deploy", "anna@laptop") as held:
        held.check()
        assert holders(made) == ["anna@laptop"] * 3
        assert [machine.lease["fencing"] for machine in one._machines if machine.lease] == [1] * 3
        found = lock(made).holder()
        assert found is not None
        assert (found.owner, found.task, found.pid, found.alive) == (
            "anna@laptop",
            "deploy",
            os.getpid(),
            True,
        )
    assert holders(made) == [""] * 3
    assert lock(made).holder() is None
    assert [machine.lease for machine in one._machines] == [None] * 3


@pytest.mark.parametrize("name", NAMES)
def test_second_deployer_stops_with_the_holders_name_and_holds_nothing(
    made: World, name: str
) -> None:
    taken(made, name)
    with pytest.raises(Busy) as caught, lock(made).hold("deploy", "anna"):
        pass
    assert caught.value.what == "staging is busy"
    assert f"{name}: locked by bert@ci (deploy, process 7)" in caught.value.why
    assert "inv lock.status --env staging" in caught.value.hint
    assert holders(made) == ["bert@ci" if each == name else "" for each in NAMES]


def test_deployer_waits_for_the_holder(made: World) -> None:
    first, got = lock(made), threading.Event()
    with first.hold("deploy", "bert"):

        def wait() -> None:
            with lock(made).hold("deploy", "anna", wait=30):
                got.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(1)
    waiting.join()
    assert got.is_set()


def test_dead_holder_elsewhere_is_replaced_after_its_time(made: World) -> None:
    taken(made, "b", ttl=1)
    with lock(made).hold("deploy", "anna", wait=30):
        assert holders(made) == ["anna"] * 3


def test_holder_that_was_killed_on_this_machine_is_replaced_at_once(made: World) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.hosts.test_leases import *\n"
        "with lock(World(Path(sys.argv[1]))).hold('deploy', 'bert'):\n"
        "    print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(made.folder)],
        cwd=ROOT,
        env=clean_variables(),
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match="bert"), lock(made).hold("deploy", "anna"):
            pass
        other.send_signal(signal.SIGKILL)
    found = lock(made).holder()
    assert found is not None
    assert not found.alive
    with lock(made).hold("deploy", "anna"):
        assert holders(made) == ["anna"] * 3


def test_lock_that_is_taken_away_is_noticed(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.1)
    with lock(made).hold("deploy", "anna") as held:
        lock(made, "b").break_()
        assert eventually(lambda: held._taken is not None, 30)
        with pytest.raises(TakenOver, match="b: the lease was taken away"):
            held.check()
    assert lock(made).holder() is None


def test_leases_are_renewed(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.1)
    monkeypatch.setattr(leases, "TTL", 60)
    with lock(made).hold("deploy", "anna") as held:
        first = dict(held._fresh)
        assert eventually(lambda: all(held._fresh[name] > first[name] for name in NAMES), 30)


def test_lease_that_was_not_renewed_in_time_is_asked_for_at_the_next_check(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TTL", 0.0)
    with lock(made).hold("deploy", "anna") as held:
        held.check()
        taken(made, "c")
        with pytest.raises(TakenOver, match="now it is held by bert@ci"):
            held.check()
    assert holders(made) == ["", "", "bert@ci"]


def test_machine_that_does_not_answer_leaves_nothing_locked(made: World) -> None:
    class Gone(ThisMachine):
        def _start(self) -> Pipe:
            raise ConnectionFailed("it is down")

    gone = Gone(made.place)
    gone.name = "b"
    every = Machines([*some(made, "a"), gone, *some(made, "c")])
    with pytest.raises(ConnectionFailed), Leases(made.context(), every).hold("deploy", "anna"):
        pass
    assert holders(made) == [""] * 3


def test_dry_run_takes_no_lock(made: World) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        with pytest.raises(EffectRefused), lock(made).hold("deploy", "anna"):
            pass
        assert lock(made).holder() is None
    assert not (made.folder / "a").exists()


def test_folder_of_another_environment_is_not_locked(made: World) -> None:
    taken(made, "a", ttl=0)
    other = dataclasses.replace(made.place, base=str(made.folder / "a"), application="blog")
    one = Leases(made.context(), Machines([made.opened(ThisMachine(other))]))
    with pytest.raises(ConfigurationError, match="belongs to somebody else"), one.hold("x", "y"):
        pass


def test_environment_has_the_lock_of_its_target(made: World) -> None:
    assert isinstance(envlock.of(made.context()), Leases)
    with project() as local:
        assert isinstance(envlock.of(local.context), FileLock)


def test_holding_twice_gives_a_higher_number(made: World) -> None:
    numbers = []
    one = lock(made, "a")
    for _ in range(3):
        with one.hold("deploy", "anna"):
            numbers += [machine.lease["fencing"] for machine in one._machines if machine.lease]
    assert numbers == [1, 2, 3]
    assert Path(made.folder / "a" / "owner.json").exists()
