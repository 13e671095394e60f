"""TCP ports through an SSH connection, in both directions.

Fabric has both, but with a port that must be free beforehand, in pieces of 1 KB, and gone for good after one
connection that fails; an image of 100 MB goes through here.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import paramiko

from ops.hosts.ssh.link import BROKEN
from ops.kernel.errors import OpsError

LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 64 * 1024
_CONNECT: Final = 10.0
End: TypeAlias = socket.socket | paramiko.Channel


@contextlib.contextmanager
def to_there(connected: Callable[[], paramiko.Transport], host: str, port: int) -> Iterator[int]:
    """Give a port of 127.0.0.1 here that leads to an address as the other side sees it.

    Args:
        connected: Gives the connection, made anew when it broke.
        host: Name or address there.
        port: TCP port there.
    """
    connected()
    with socket.create_server((LOOPBACK, 0)) as listener, _pairs() as join:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener was closed
                while True:
                    here, origin = listener.accept()
                    threading.Thread(target=meet, args=(here, origin), daemon=True).start()

        def meet(here: socket.socket, origin: tuple[str, int]) -> None:
            try:
                there = connected().open_channel(
                    "direct-tcpip", (host, port), origin, timeout=_CONNECT
                )
            except (*BROKEN, OpsError):
                here.close()  # as a closed port does
            else:
                join(here, there)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


class WaysBack:
    """Ports of the other side's 127.0.0.1 that lead to ports of 127.0.0.1 here."""

    def __init__(self) -> None:
        self._ways: dict[int, tuple[int, _Pairs]] = {}

    @contextlib.contextmanager
    def lead(self, transport: paramiko.Transport, port: int) -> Iterator[int]:
        """Give a port there that leads to a port here.

        Raises:
            SSHException: The other side does not allow that.
        """
        with _bounded(transport):
            opened = transport.request_port_forward(LOOPBACK, 0, self._come)
        with _pairs() as join:
            self._ways[opened] = port, join
            try:
                yield opened
            finally:
                del self._ways[opened]
                with contextlib.suppress(*BROKEN), _bounded(transport):
                    # paramiko's own function would forget the other ports as well.
                    transport.global_request("cancel-tcpip-forward", (LOOPBACK, opened))

    def renew(self, transport: paramiko.Transport) -> None:
        """Ask for the same ports on a new connection: who uses them there goes on."""
        for opened in list(self._ways):
            with contextlib.suppress(*BROKEN):
                transport.request_port_forward(LOOPBACK, opened, self._come)

    def _come(self, there: paramiko.Channel, _: object, server: tuple[str, int]) -> None:
        # paramiko calls this in the thread that reads the connection, which must not wait.
        threading.Thread(target=self._meet, args=(there, server[1]), daemon=True).start()

    def _meet(self, there: paramiko.Channel, opened: int) -> None:
        try:
            port, join = self._ways[opened]
            here = socket.create_connection((LOOPBACK, port), timeout=_CONNECT)
        except (OSError, KeyError):
            there.close()
        else:
            here.settimeout(None)
            join(here, there)


@contextlib.contextmanager
def _bounded(transport: paramiko.Transport) -> Iterator[None]:
    """End the connection when a request takes too long: paramiko itself would wait for ever."""
    timer = threading.Timer(_CONNECT, transport.close)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Pairs:
    """All connections that run through one forwarded port."""

    def __init__(self) -> None:
        self._ends: set[End] = set()
        self._lock = threading.Lock()

    def __call__(self, here: socket.socket, there: paramiko.Channel) -> None:
        threading.Thread(target=self._run, args=(here, there), daemon=True).start()

    def close(self) -> None:
        with self._lock:
            for end in self._ends:
                end.close()

    def _run(self, here: socket.socket, there: paramiko.Channel) -> None:
        with self._lock:
            self._ends |= {here, there}
        back = threading.Thread(target=_move, args=(there, here), daemon=True)
        back.start()
        _move(here, there)
        back.join()
        with self._lock:
            self._ends -= {here, there}
        here.close()
        there.close()


def _move(source: End, target: End) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        # The other direction goes on: some protocols close only one.
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _pairs() -> Iterator[_Pairs]:
    pairs = _Pairs()
    try:
        yield pairs
    finally:
        pairs.close()
