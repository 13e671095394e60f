"""A host over SSH."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import paramiko

from ops.hosts import agent_file
from ops.hosts.detached import ConnectionLost
from ops.hosts.machine import Machine, Place
from ops.hosts.ssh import forward, keys
from ops.hosts.ssh.attached import attached
from ops.hosts.ssh.exchange import exchange
from ops.hosts.ssh.link import BROKEN, CONNECT, Link
from ops.hosts.ssh.patience import patiently
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
    """

    def __init__(self, link: Link, place: Place) -> None:
        super().__init__(link.address.name, place)
        self._link = link
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
        self._link.close()

    def _exchange(
        self,
        context: Context,
        verb: str,
        data: bytes,
        told: Callable[[bytes], None],
        seconds: float,
    ) -> tuple[int, bytes]:
        command = shlex.join(agent_file.command(PYTHON, verb))
        asked: list[paramiko.Channel] = []

        def work() -> tuple[int, bytes]:
            asked.append(self._session())
            try:
                with asked[0]:
                    return exchange(asked[0], command, data, told)
            except BROKEN as error:
                raise ConnectionLost(
                    f"the connection to {self.name} broke while waiting for {verb}",
                    why=str(error) or type(error).__name__,
                ) from error

        def stop() -> None:
            for channel in asked:
                channel.close()

        doing = f"waiting for {verb} on {self.name}"
        try:
            return patiently(work, stop, context.deadline, doing, seconds)
        except ConnectionLost:
            self._link.close()
            raise

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
    chosen = context.settings.environment

    def key() -> paramiko.PKey:
        text = context.secrets.resolve(chosen.ssh_key).get_secret_value()
        return keys.private(text, chosen.ssh_key)

    def link(text: str, gateway: Link | None) -> Link:
        address = addresses.parse(text)
        pinned = chosen.host_keys.get(address.name, "")
        return Link(address, pinned, key if chosen.ssh_key else None, gateway)

    gateway = link(chosen.gateway, None) if chosen.gateway else None
    return [SshMachine(link(text, gateway), place) for text in chosen.hosts]
