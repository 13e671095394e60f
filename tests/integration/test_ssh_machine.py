"""A host over SSH does its work, also when the connection does not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, DependencyError, EffectRefused, TimeLimitReached
from tests.support import sshd
from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.meanwhile import meanwhile
from tests.support.sockets import asked, echoing, free
from tests.support.sshd import Sshd


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with sshd.running() as running:
        yield running


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def only(context: Context) -> Machine:
    """Return the one machine of an environment."""
    return next(iter(machines.of(context)))


def test_first_question_brings_the_agent_and_each_is_one_round_trip(
    made: World, server: Sshd
) -> None:
    context = made.context([server])
    machine = only(context)
    assert machine.call(context, "trial.echo", {"text": "a"}, reads=True)["text"] == "a"
    assert machine.call(context, "trial.echo", {"text": "ü"}, reads=True)["text"] == "ü"
    made.holding(context, machine)
    machine.call(context, "trial.change", {"file": str(made.folder / "x")}, reads=False)
    machine.put(context, b"data", "file")
    assert machine.round_trips == 5
    assert server.connections() == 1


def test_answer_of_any_size_comes_whole(made: World, server: Sshd) -> None:
    context = made.context([server])
    told = only(context).call(context, "trial.noisy", {"size": 5_000_000}, reads=True)
    assert told["size"] == len(told["text"]) == 5_000_000
    assert b"".join(made.output).count(b"\n") == 3


def test_file_of_any_size_is_put(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    made.holding(context, machine)
    data = bytes(range(256)) * 40_000
    machine.put(context, data, "files/large")
    assert (made.base / "files/large").read_bytes() == data


def test_dry_run_asks_and_leaves_nothing_on_the_host(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    with guard.scope(guard.Mode.DRY_RUN):
        machine.call(context, "trial.echo", reads=True)
        with pytest.raises(EffectRefused):
            machine.call(context, "trial.change", reads=False)
        with pytest.raises(EffectRefused):
            machine.detached(context, "trial.work")
    assert machine.round_trips == 1
    assert not made.base.exists()


def test_connection_that_broke_while_idle_is_made_again(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    machine.call(context, "trial.echo", reads=True)
    assert server.cut() == 1
    machine.call(context, "trial.echo", reads=True)
    assert machine.round_trips == 2


def test_change_whose_connection_breaks_is_told_and_not_repeated(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    with (
        cutting(server, made.folder / "count"),
        pytest.raises(ConnectionFailed, match=r"broke while waiting for trial.work"),
    ):
        machine.call(context, "trial.work", {"folder": str(made.folder)}, reads=False)
    # What the host had begun it also ends, whoever reads what it prints.
    (made.folder / "go").touch()
    assert eventually((made.folder / "finished").exists)
    assert count(made) == 1


def test_question_whose_connection_breaks_is_asked_again(made: World, server: Sshd) -> None:
    context = made.context([server])
    with cutting(server, made.folder / "count", then=made.folder / "go"):
        told = only(context).call(context, "trial.work", {"folder": str(made.folder)}, reads=True)
    assert told == {"worked": True}
    assert count(made) == 2


def test_detached_work_goes_on_when_its_connection_is_cut(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    with cutting(server, made.folder / "count", then=made.folder / "go"):
        told = machine.detached(context, "trial.work", {"folder": str(made.folder)})
    assert told == {"worked": True}
    assert count(made) == 1
    assert made.told("progress") == [f"{server.name}: begun", f"{server.name}: done"]
    assert "the work goes on there" in made.told("note")[0]


def test_detached_work_goes_on_while_the_server_is_away(made: World) -> None:
    with sshd.running() as server:
        context = made.context([server])
        machine = only(context)

        def restart() -> None:
            server.stop()
            (made.folder / "go").touch()
            server.start()

        with meanwhile((made.folder / "count").exists, restart):
            told = machine.detached(context, "trial.work", {"folder": str(made.folder)})
        assert told == {"worked": True}


def test_host_that_stops_answering_does_not_hold_a_call(made: World) -> None:
    with sshd.running() as server:
        context = made.context([server], seconds=3)
        machine = only(context)
        machine.call(context, "trial.echo", reads=True)
        with server.frozen(), pytest.raises(TimeLimitReached, match=r"waiting for trial.echo"):
            machine.call(context, "trial.echo", reads=True)


def test_question_whose_time_is_over_leaves_the_connection(made: World, server: Sshd) -> None:
    context = made.context([server])
    machine = only(context)
    machine.call(context, "trial.echo", reads=True)
    before = server.clients()
    short = dataclasses.replace(context, deadline=Deadline(1))
    with pytest.raises(TimeLimitReached, match=r"waiting for trial.work"):
        machine.call(short, "trial.work", {"folder": str(made.folder)}, reads=True)
    machine.call(context, "trial.echo", reads=True)
    assert server.clients() == before


def test_host_without_python_is_told(
    made: World, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = made.context([server])
    monkeypatch.setattr("ops.hosts.ssh.machine.PYTHON", "python3-that-is-not-there")
    with pytest.raises(DependencyError, match="has no python3"):
        only(context).call(context, "trial.echo", reads=True)


def test_what_a_start_up_file_of_the_shell_prints_is_no_answer(made: World) -> None:
    greeting = 'ForceCommand echo welcome; eval "$SSH_ORIGINAL_COMMAND"\n'
    with sshd.running(greeting) as server:
        context = made.context([server])
        assert only(context).call(context, "trial.echo", {"a": 1}, reads=True)["a"] == 1


def test_port_of_the_host_is_reached_through_the_connection(made: World, server: Sshd) -> None:
    machine = only(made.context([server]))
    with echoing() as port, machine.tunnel("127.0.0.1", port) as address:
        assert [asked(address, text) for text in (b"one", b"two" * 100_000)] == [
            b"one",
            b"two" * 100_000,
        ]
        closed = free()
        with machine.tunnel("127.0.0.1", closed) as nobody:
            assert asked(nobody, b"") == b""
        assert asked(address, b"again") == b"again"


def test_port_of_this_machine_is_reached_from_the_host(made: World, server: Sshd) -> None:
    machine = only(made.context([server]))
    with echoing() as port:
        with machine.expose(port) as there:
            assert asked(("127.0.0.1", there), b"image" * 400_000) == b"image" * 400_000
            assert asked(("127.0.0.1", there), b"more") == b"more"
        with pytest.raises(ConnectionRefusedError):
            asked(("127.0.0.1", there), b"late")


def test_two_ports_of_this_machine_are_reached_beside_each_other(made: World, server: Sshd) -> None:
    machine = only(made.context([server]))
    with echoing() as port, machine.expose(port) as one:
        with machine.expose(port) as two:
            assert one != two
            assert asked(("127.0.0.1", two), b"two") == b"two"
        assert asked(("127.0.0.1", one), b"one") == b"one"


def test_ports_go_on_leading_somewhere_after_the_connection_was_cut(
    made: World, server: Sshd
) -> None:
    context = made.context([server])
    machine = only(context)
    with echoing() as port, machine.expose(port) as there, machine.tunnel("127.0.0.1", port) as to:
        server.cut()
        machine.call(context, "trial.echo", reads=True)
        assert asked(("127.0.0.1", there), b"back") == b"back"
        assert asked(to, b"there") == b"there"


def test_server_that_forbids_the_way_back_is_told(made: World) -> None:
    with sshd.running("AllowTcpForwarding local\n") as server:
        machine = only(made.context([server]))
        with (
            pytest.raises(ConnectionFailed, match="gives no port") as caught,
            machine.expose(free()),
        ):
            pass
        assert "AllowTcpForwarding" in caught.value.hint


def count(made: World) -> int:
    """Return how often the work was begun."""
    return len((made.folder / "count").read_text().split())


def cutting(server: Sshd, path: Path, then: Path | None = None) -> AbstractContextManager[None]:
    """Cut the connections of a server once a file is there."""

    def cut() -> None:
        assert server.cut() >= 1
        if then is not None:
            then.touch()

    return meanwhile(path.exists, cut)
