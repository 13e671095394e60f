"""Hosts that are machines of their own: containers with sshd, a file system and a Docker engine each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.hosts import leases, machines
from ops.hosts.ssh import link
from ops.kernel.context import Context
from ops.kernel.errors import Busy, ConnectionFailed, TakenOver
from tests.support.docker.hosts import Host, hosts
from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.meanwhile import meanwhile
from tests.support.sockets import asked, echoing


@pytest.fixture(scope="module")
def two(docker_engine: None) -> Iterator[list[Host]]:
    with hosts(2) as running:
        yield running


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def context(made: World, some: list[Host], seconds: float = 60) -> Context:
    return made.context(
        seconds=seconds,
        hosts=[f"root@{host.address}" for host in some],
        host_keys={host.address: host.fingerprint for host in some},
        ssh_key=f"file:{some[0].folder / 'key'}",
    )


def test_hosts_tell_what_they_have(made: World, two: list[Host]) -> None:
    given = context(made, two)
    told = (
        machines.of(given)
        .each(lambda one: one.call(given, "survey", {"project": "x"}, reads=True))
        .complete()
    )
    assert list(told) == [host.address for host in two]
    for each in (one["facts"] for one in told.values()):
        assert each["docker"]["version"].split(".") >= ["26"]
        assert each["compose"]["version"].split(".") >= ["2"]
        assert each["user"] == "root"


def test_leases_of_all_hosts_or_of_none_are_held(made: World, two: list[Host]) -> None:
    given = context(made, two)
    lock = leases.of(given)
    with lock.hold("deploy", "anna@laptop") as held:
        held.check()
        assert {each.lease["fencing"] for each in machines.of(given) if each.lease} == {1}
        with world() as other:
            second = leases.of(context(other, two[1:]))
            second._machines[two[1].address].place = made.place
            with pytest.raises(Busy, match=r"anna@laptop \(deploy"), second.hold("x", "bert"):
                pass
            second.break_()
        with pytest.raises(TakenOver, match=two[1].address):
            machines.of(given).each(
                lambda one: one.call(given, "trial.change", {"file": "/tmp/x"}, reads=False)
            ).complete()
    assert lock.holder() is None
    assert two[0].inside("cat", "/tmp/x") == "1"


def test_host_that_is_out_of_reach_leaves_the_other_unlocked(
    made: World, two: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CONNECT", 2.0)
    given = context(made, two)
    with two[1].cut():
        with (
            pytest.raises(ConnectionFailed, match=two[1].address),
            leases.of(given).hold("deploy", "anna"),
        ):
            pass
        assert leases.of(context(made, two[:1])).holder() is None


def test_detached_work_goes_on_behind_a_broken_cable(
    made: World, two: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing refuses and nothing answers: only time tells that the connection is lost.
    for name, value in (("CONNECT", 3.0), ("ALIVE", 1), ("DEAD", 2000)):
        monkeypatch.setattr(link, name, value)
    host, given = two[0], context(made, two[:1])
    host.inside("mkdir", "-p", "/tmp/trial")

    def break_cable() -> None:
        with host.cut():
            assert eventually(lambda: bool(made.told("note")), 30)
        host.inside("touch", "/tmp/trial/go")

    with meanwhile(lambda: made.output, break_cable):
        machine = next(iter(machines.of(given)))
        told = machine.detached(given, "trial.work", {"folder": "/tmp/trial"})
    assert told == {"worked": True}
    assert made.told("progress") == [f"{host.address}: begun", f"{host.address}: done"]
    assert len(host.inside("cat", "/tmp/trial/count").split()) == 1


def test_port_of_this_machine_is_reached_from_the_host(made: World, two: list[Host]) -> None:
    given = context(made, two[:1])
    machine = next(iter(machines.of(given)))
    with echoing() as port, machine.expose(port) as there:
        fetch = (
            f"import socket; peer = socket.create_connection(('127.0.0.1', {there})); "
            "peer.sendall(b'there'); peer.shutdown(1); print(peer.recv(9).decode())"
        )
        assert two[0].inside("python3", "-c", fetch) == "there\n"
        with machine.tunnel("127.0.0.1", there) as back:
            assert asked(back, b"there and back") == b"there and back"
