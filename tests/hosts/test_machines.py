from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ops.hosts import home, machines
from ops.hosts.machine import Machine
from ops.hosts.machines import Machines, Outcome
from ops.hosts.this_machine import ThisMachine
from ops.kernel import settings
from ops.kernel.errors import (
    Busy,
    ConnectionFailed,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TakenOver,
)
from tests.support.local import is_root
from tests.support.machines import World, world

HOSTS = 'hosts = ["deploy@web1", "deploy@web2:2222"]\n'


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def three(made: World) -> Machines:
    every: list[Machine] = []
    for name in "abc":
        machine = ThisMachine(made.place)
        machine.name = name
        every.append(machine)
    return Machines(every)


def test_all_machines_work_at_the_same_time(made: World) -> None:
    together = threading.Barrier(3, timeout=30)

    def work(machine: Machine) -> str:
        together.wait()
        return machine.name.upper()

    every = three(made)
    assert every.each(work).complete() == {"a": "A", "b": "B", "c": "C"}
    assert (len(every), [machine.name for machine in every], every["b"].name) == (
        3,
        ["a", "b", "c"],
        "b",
    )


def test_every_result_and_every_failure_is_kept(made: World) -> None:
    def work(machine: Machine) -> int:
        if machine.name != "b":
            raise ConnectionFailed(f"{machine.name} is down", hint="look")
        return 1

    outcome = three(made).each(work)
    assert outcome.done == {"b": 1}
    assert {name: str(error) for name, error in outcome.failed.items()} == {
        "a": "a is down",
        "c": "c is down",
    }
    with pytest.raises(ConnectionFailed) as caught:
        outcome.complete()
    assert caught.value.what == "2 of 3 hosts failed"
    assert caught.value.why == "a is down\nc is down"
    assert caught.value.hint == "look"


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([StepFailed("only")], "only"),
        ([StepFailed("x"), NotPermitted("y")], "2 of 3 hosts failed"),
        ([StepFailed("x"), TakenOver("over"), Busy("y")], "over"),
        ([StepFailed("x"), Interrupted("stop", signal_number=2)], "stop"),
    ],
)
def test_what_stops_the_run_comes_before_other_failures(
    failed: list[OpsError], expected: str
) -> None:
    outcome = Outcome({"there": 1}, {str(number): each for number, each in enumerate(failed)})
    with pytest.raises(OpsError) as caught:
        outcome.complete()
    assert caught.value.what.startswith(expected.replace("3", str(len(failed) + 1)))


def test_mistake_in_the_work_is_not_hidden(made: World) -> None:
    with pytest.raises(ZeroDivisionError):
        three(made).each(lambda _: 1 // 0)


def test_environment_without_hosts_runs_on_this_machine(made: World) -> None:
    every = machines.of(made.context())
    assert [type(machine) for machine in every] == [ThisMachine]
    assert next(iter(every)).place == made.place


def test_same_environment_has_the_same_machines(made: World) -> None:
    hosts = ["deploy@web1", "deploy@web2:2222"]
    first = machines.of(made.context(hosts=hosts))
    assert [machine.name for machine in first] == ["web1", "web2:2222"]
    assert machines.of(made.context(hosts=hosts)) is first
    assert machines.of(made.context(hosts=hosts[:1])) is not first


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (HOSTS, "/var/lib/invops/shop-staging"),
        ('base_folder = "/srv/x"\n', "/srv/x"),
        (HOSTS + 'base_folder = "/srv/x"\n', "/srv/x"),
        ("", ""),
    ],
)
def test_folder_is_that_of_the_settings_or_the_usual_one(
    made: World, keys: str, expected: str
) -> None:
    (made.folder / "ops.toml").write_text(
        '[app]\nname = "shop"\ndefault_environment = "staging"\n'
        f'[environments.staging]\ntarget = "compose"\n{keys}'
    )
    loaded = settings.load(start=made.folder, environ={})
    own = str(home.of(loaded).environment("staging"))
    local = "/var/lib/invops/shop-staging" if is_root() else own
    assert machines.place(loaded).base == (expected or local)
