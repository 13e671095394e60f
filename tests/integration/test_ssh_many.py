"""Many hosts at once: no server is overrun, and no host holds up the others' answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import fabric
import pytest

from ops.hosts import leases, machines
from ops.hosts.ssh import link
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed
from tests.support import sshd
from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.sockets import free
from tests.support.sshd import Sshd

MANY = 20
# Twenty ways to write the loopback address: as many hosts for us, one server for the system.
ADDRESSES = [f"127.0.0.{'0' * number}1" for number in range(MANY)]


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """One server that is twenty hosts; MaxStartups is as the system has it."""
    with sshd.running() as running:
        assert "MaxStartups" not in (running.folder / "sshd_config").read_text()
        yield running


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def twenty(made: World, server: Sshd) -> Context:
    user = server.address.partition("@")[0]
    names = [f"{address}:{server.port}" for address in ADDRESSES]
    return made.context(
        [server],
        hosts=[f"{user}@{name}" for name in names],
        host_keys=dict.fromkeys(names, server.fingerprint),
    )


def test_twenty_hosts_answer_and_at_most_ten_connections_are_made_at_once(
    made: World, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, most, lock = 0, 0, threading.Lock()
    plain = fabric.Connection.open

    def counted(connection: fabric.Connection) -> object:
        nonlocal opening, most
        with lock:
            opening += 1
            most = max(most, opening)
        try:
            return plain(connection)
        finally:
            with lock:
                opening -= 1

    monkeypatch.setattr(fabric.Connection, "open", counted)
    context = twenty(made, server)
    every = machines.of(context)
    told = every.each(lambda machine: machine.call(context, "trial.echo", reads=True)).complete()
    assert len(told) == MANY
    assert 1 < most <= link.AT_ONCE
    again = every.each(lambda machine: machine.call(context, "trial.echo", reads=True))
    assert len(again.complete()) == MANY
    assert {machine.round_trips for machine in every} == {2}
    assert server.log.count("Accepted publickey") == MANY


def test_hosts_that_are_down_are_all_named_and_the_others_answer(made: World, server: Sshd) -> None:
    down = [f"root@127.0.0.1:{free()}" for _ in range(2)]
    context = made.context([server], hosts=[down[0], server.address, down[1]])
    outcome = machines.of(context).each(
        lambda machine: machine.call(context, "trial.echo", reads=True)
    )
    assert list(outcome.done) == [server.name]
    with pytest.raises(ConnectionFailed, match="2 of 3 hosts failed") as caught:
        outcome.complete()
    assert all(each.partition("@")[2] in caught.value.why for each in down)


def test_lease_is_renewed_over_the_same_connection(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.2)
    with sshd.running() as server:
        context = made.context([server])
        machine = next(iter(machines.of(context)))
        with leases.of(context).hold("deploy", "anna") as held:
            asked = machine.round_trips
            assert eventually(lambda: machine.round_trips > asked + 2, 30)
            machine.call(
                context, "trial.change", {"file": str(made.folder / "changed")}, reads=False
            )
            held.check()
        assert (made.folder / "changed").read_text() == "1"
        assert server.log.count("Accepted publickey") == 1


def test_holder_whose_connection_is_cut_keeps_its_lease(made: World) -> None:
    with sshd.running() as server:
        context = made.context([server])
        with leases.of(context).hold("deploy", "anna") as held:
            server.cut()
            held.check()
            machine = next(iter(machines.of(context)))
            file = made.folder / "changed"
            machine.call(context, "trial.change", {"file": str(file)}, reads=False)
            assert file.read_text() == "1"
        assert leases.of(context).holder() is None
