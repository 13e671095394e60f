"""Whom we connect to, whom not, and what a person is told then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.hosts.ssh import link
from ops.hosts.ssh.machine import SshMachine
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    Interrupted,
    NotPermitted,
    TimeLimitReached,
)
from tests.support import sshd
from tests.support.machines import World, world
from tests.support.sockets import hanging_up, silent
from tests.support.sshd import Sshd, hash_known_hosts, make_key


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with sshd.running() as running:
        yield running


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A project of a person with an empty home and no agent."""
    with world() as one:
        (one.folder / ".ssh").mkdir()
        monkeypatch.setenv("HOME", str(one.folder))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield one


def only(context: Context) -> Machine:
    return next(iter(machines.of(context)))


def hello(context: Context) -> Machine:
    """Ask the one machine something."""
    machine = only(context)
    assert machine.call(context, "trial.echo", {"text": "ü"}, reads=True)["text"] == "ü"
    return machine


def known_hosts(made: World, text: str) -> Path:
    path = made.folder / ".ssh" / "known_hosts"
    path.write_text(text)
    return path


def test_pinned_fingerprint_is_enough(made: World, server: Sshd) -> None:
    hello(made.context([server]))


@pytest.mark.parametrize("hashed", [False, True])
def test_known_hosts_is_enough(made: World, server: Sshd, hashed: bool) -> None:
    path = known_hosts(made, f"# a comment\n{server.known()}")
    if hashed:
        hash_known_hosts(path)
    before = path.read_text()
    assert (server.name in before.replace("[", "").replace("]", "")) is not hashed
    hello(made.context([server], host_keys=None))
    assert path.read_text() == before


def test_unknown_host_is_refused_with_its_fingerprint_and_what_to_do(
    made: World, server: Sshd
) -> None:
    with pytest.raises(NotPermitted) as caught:
        hello(made.context([server], host_keys=None))
    assert caught.value.exit_code == exits.PERMISSION
    assert caught.value.what == f"the host key of {server.name} is not known"
    assert server.fingerprint in caught.value.why
    assert f'host_keys = {{ "{server.name}" = "{server.fingerprint}" }}' in caught.value.hint
    assert not (made.folder / ".ssh" / "known_hosts").exists()


def test_host_that_shows_another_key_than_known_hosts_is_refused(made: World, server: Sshd) -> None:
    with sshd.running() as other:
        kind, key = other.known().split()[1:]
    known_hosts(made, f"[127.0.0.1]:{server.port} {kind} {key}\n")
    with pytest.raises(NotPermitted, match="another host key") as caught:
        hello(made.context([server], host_keys=None))
    assert server.fingerprint in caught.value.why
    assert f'ssh-keygen -R "[127.0.0.1]:{server.port}"' in caught.value.hint


def test_host_that_shows_another_key_than_the_pinned_one_is_refused_whatever_known_hosts_says(
    made: World, server: Sshd
) -> None:
    known_hosts(made, server.known())
    wrong = "SHA256:" + "A" * 43
    with pytest.raises(NotPermitted, match="another host key") as caught:
        hello(made.context([server], host_keys={server.name: wrong}))
    assert wrong in caught.value.why
    assert server.fingerprint in caught.value.why
    assert "host_keys in ops.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [("web1 ssh-ed25519 AAAAB\n", "is no host key"), ("\udcff\udcfe", "is no text")],
)
def test_known_hosts_that_cannot_be_read_is_told(
    made: World, server: Sshd, text: str, words: str
) -> None:
    (made.folder / ".ssh" / "known_hosts").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=words):
        hello(made.context([server], host_keys=None))


def test_key_that_the_host_does_not_know_is_refused(made: World, server: Sshd) -> None:
    make_key(made.folder / "stranger")
    with pytest.raises(NotPermitted, match=r"does not let .* in") as caught:
        hello(made.context([server], ssh_key=f"file:{made.folder}/stranger"))
    assert caught.value.exit_code == exits.PERMISSION
    assert f"ssh-copy-id -p {server.port}" in caught.value.hint


def test_person_without_any_key_is_told(made: World, server: Sshd) -> None:
    with pytest.raises(NotPermitted, match="no key in the SSH agent"):
        hello(made.context([server], ssh_key=None))


def test_key_of_the_home_folder_is_taken(made: World, server: Sshd) -> None:
    server.key.with_suffix("").rename(made.folder / ".ssh" / "id_ed25519")
    try:
        hello(made.context([server], ssh_key=None))
    finally:
        (made.folder / ".ssh" / "id_ed25519").rename(server.key)


@pytest.mark.parametrize(
    ("options", "words"),
    [(["-N", "passphrase"], "has a passphrase"), (None, "is no private key")],
)
def test_key_that_cannot_be_used_is_told(
    made: World, server: Sshd, options: list[str] | None, words: str
) -> None:
    key = made.folder / "key"
    if options:
        make_key(key, *options)
    else:
        key.write_text("no key at all")
        key.chmod(0o600)
    with pytest.raises(ConfigurationError, match=words):
        hello(made.context([server], ssh_key=f"file:{key}"))


def test_settings_of_the_ssh_client_do_not_count(made: World, server: Sshd) -> None:
    (made.folder / ".ssh" / "config").write_text("Host *\n  ProxyJump nobody@127.0.0.1:1\n")
    hello(made.context([server]))


def test_closed_port_is_told(made: World, server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed, match="cannot connect") as caught:
        hello(made.context([server], hosts=[f"root@127.0.0.1:{port}"], host_keys=None))
    assert caught.value.exit_code == exits.CONNECTION
    assert f"ssh -v -p {port}" in caught.value.hint


def test_name_that_nobody_knows_is_told(made: World, server: Sshd) -> None:
    with pytest.raises(ConnectionFailed, match="is not known"):
        hello(made.context([server], hosts=["root@nobody.invalid"], host_keys=None))


def test_server_that_never_greets_is_told(
    made: World, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CONNECT", 1.0)
    monkeypatch.setattr(link, "AGAIN", 0.5)
    with silent() as port, pytest.raises(ConnectionFailed):
        hello(made.context([server], hosts=[f"root@127.0.0.1:{port}"], host_keys=None))


def test_server_that_never_greets_does_not_outlast_the_time_limit(
    made: World, server: Sshd
) -> None:
    with silent() as port, pytest.raises(TimeLimitReached, match=r"waiting for trial\.echo"):
        hello(made.context([server], seconds=1, hosts=[f"root@127.0.0.1:{port}"], host_keys=None))


def test_signal_ends_the_waiting_for_a_server_that_never_greets(made: World, server: Sshd) -> None:
    with silent() as port:
        context = made.context([server], hosts=[f"root@127.0.0.1:{port}"], host_keys=None)
        stop = Interrupted("stopped by SIGINT", signal_number=2)
        threading.Timer(0.5, context.deadline.interrupt, [stop]).start()
        with pytest.raises(Interrupted):
            hello(context)


def test_server_that_hangs_up_is_asked_again(made: World, server: Sshd) -> None:
    with hanging_up(2, server.port) as port:
        pins = {f"127.0.0.1:{port}": server.fingerprint}
        address = server.address.replace(str(server.port), str(port))
        hello(made.context([server], hosts=[address], host_keys=pins))


def test_gateway_is_one_connection_for_all_hosts(made: World) -> None:
    with sshd.running() as gateway, sshd.running() as one, sshd.running() as two:
        for each in (one, two):
            (each.folder / "authorized").write_text((gateway.folder / "user.pub").read_text())
        pins = {each.name: each.fingerprint for each in (gateway, one, two)}
        context = made.context(
            [one, two], gateway=gateway.address, host_keys=pins, ssh_key=f"file:{gateway.key}"
        )
        every = machines.of(context)
        told = every.each(
            lambda machine: machine.call(context, "trial.echo", reads=True)
        ).complete()
        assert list(told) == [one.name, two.name]
        assert gateway.connections() == 1
        assert gateway.log.count("Accepted publickey") == 1
        gateway.cut()
        every.each(lambda machine: machine.call(context, "trial.echo", reads=True)).complete()
        assert gateway.log.count("Accepted publickey") == 2


def test_way_through_a_gateway_that_is_gone_is_closed_without_a_word(
    made: World, server: Sshd
) -> None:
    """Otherwise the thread of paramiko that closes it prints how it died."""
    context = made.context([server], gateway=server.address)
    machine = hello(context)
    assert isinstance(machine, SshMachine)
    way = machine._link.transport().sock
    assert isinstance(way, paramiko.Channel)
    way.get_transport().sock.close()
    way.close()


def test_gateway_needs_a_known_key_as_well(made: World, server: Sshd) -> None:
    with sshd.running() as gateway:
        context = made.context([server], gateway=gateway.address)
        with pytest.raises(NotPermitted, match=f"host key of {gateway.name} is not known"):
            hello(context)


def test_host_that_the_gateway_cannot_reach_is_told(made: World, server: Sshd) -> None:
    with sshd.running() as gone:
        pass
    context = made.context(
        [server],
        hosts=[gone.address],
        gateway=server.address,
        host_keys={server.name: server.fingerprint},
    )
    with pytest.raises(ConnectionFailed, match=rf"{gone.name} \(through {server.name}\)"):
        hello(context)
