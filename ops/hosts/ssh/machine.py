"""A host over SSH."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

import paramiko

from ops.hosts import agent_file
from ops.hosts.agents import Pipe
from ops.hosts.machine import Machine, Place
from ops.hosts.ssh import forward, keys, session
from ops.hosts.ssh.attached import attached
from ops.hosts.ssh.link import BROKEN, CONNECT, Link
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed
from ops.kernel.settings import addresses

PYTHON: Final = "python3"


class SshMachine(Machine):
    """A host that is reached over SSH.

    Args:
        link: The connection to it.
        place: Where the environment's folder is on it.
        before: Words before each command there, `sudo`.
    """

    def __init__(self, link: Link, place: Place, before: Sequence[str] = ()) -> None:
        super().__init__(link.address.name, place)
        self._link = link
        self._before = before
        self._ways = forward.WaysBack()
        link.opened = self._ways.renew

    @contextlib.contextmanager
    def tunnel(self, host: str, port: int) -> Iterator[tuple[str, int]]:
        """Give an address here that leads to a TCP port as the host sees it."""
        with forward.to_there(self._link.transport, host, port) as local:
            yield forward.LOOPBACK, local

    @contextlib.contextmanager
    def expose(self, port: int) -> Iterator[int]:
        """Give a port on the host's 127.0.0.1 that leads to a port of 127.0.0.1 here.

        Raises:
            ConnectionFailed: Its SSH server does not allow that.
        """
        guard.effect(f"open a port on {self.name}")
        with contextlib.ExitStack() as stack:
            try:
                there = stack.enter_context(self._ways.lead(self._link.transport(), port))
            except BROKEN as error:
                raise ConnectionFailed(
                    f"{self.name} gives no port for the way back",
                    why=str(error),
                    hint="its sshd must allow it: AllowTcpForwarding yes (or remote)",
                ) from error
            yield there

    def _attach(self, argv: Sequence[str], terminal: bool) -> int:
        try:
            with self._session() as channel:
                return attached(channel, shlex.join(argv), terminal=terminal)
        except BROKEN as error:
            raise ConnectionFailed(
                f"the connection to {self.name} broke; the command may run on",
                why=str(error) or type(error).__name__,
            ) from error

    def close(self) -> None:
        """End the connection; the next question makes it again."""
        super().close()
        self._link.close()

    def _start(self) -> Pipe:
        command = shlex.join([*self._before, *agent_file.command(PYTHON)])
        return session.started(self._session(), command)

    def _lost(self) -> None:
        self._link.close()

    def _session(self) -> paramiko.Channel:
        """Return a new session; a connection that broke while nobody used it is made again."""
        with contextlib.suppress(*BROKEN):
            return self._link.transport().open_session(timeout=CONNECT)
        self._link.close()
        try:
            return self._link.transport().open_session(timeout=CONNECT)
        except BROKEN as error:
            raise ConnectionFailed(
                f"{self.name} gives no session", why=str(error) or type(error).__name__
            ) from error


def every(context: Context, place: Place) -> list[SshMachine]:
    """Return the hosts of the environment, all behind its gateway when it has one.

    Args:
        context: Gives the settings, and the private key when it is needed.
        place: Where the environment's folder is on each of them.
    """
    gateway = _gateway(context)
    return [
        SshMachine(_link(context, text, gateway), place)
        for text in context.settings.environment.hosts
    ]


def as_root(context: Context, text: str, place: Place) -> SshMachine:
    """Return a host, whether the environment has it or not, on which all is done by root.

    Args:
        context: Gives the settings: gateway, known keys, our key.
        text: Its address; a user that is not root must get `sudo` without a password.
        place: Where our folder is on it.
    """
    sudo = () if addresses.parse(text).user == "root" else ("sudo", "-n")
    return SshMachine(_link(context, text, _gateway(context)), place, sudo)


def _gateway(context: Context) -> Link | None:
    chosen = context.settings.environment
    return _link(context, chosen.gateway, None) if chosen.gateway else None


def _link(context: Context, text: str, gateway: Link | None) -> Link:
    chosen = context.settings.environment

    def key() -> paramiko.PKey:
        held = context.secrets.resolve(chosen.ssh_key).get_secret_value()
        return keys.private(held, chosen.ssh_key)

    address = addresses.parse(text)
    pinned = chosen.host_keys.get(address.name, "")
    return Link(address, pinned, key if chosen.ssh_key else None, gateway)
