"""Peers of connections: one that says nothing, one that hangs up, one that echoes, one that says who asks."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
Address = tuple[str, int]
_PEER = struct.Struct("3i")
"""Process, user and group of a peer, see unix(7)."""


@contextmanager
def silent() -> Iterator[int]:
    """Give the port of a server that takes connections and says nothing."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def hanging_up(times: int, port: int) -> Iterator[int]:
    """Give a port that ends the first connections before a greeting, then leads to another port."""

    def serve() -> None:
        for _ in range(times):
            listener.accept()[0].close()
        _join(listener.accept()[0], socket.create_connection((LOOPBACK, port)))

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def relayed(path: str, asked: Callable[[int], None]) -> Iterator[str]:
    """Give a Unix socket that leads to another one.

    Args:
        path: The other one.
        asked: Gets the process id of each that connects, before a byte of it goes on.
    """

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                peer, _ = listener.accept()
                who = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
                asked(_PEER.unpack(who)[0])
                there = socket.socket(socket.AF_UNIX)
                there.connect(path)
                _join(peer, there)

    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/relay.sock")
        listener.listen()
        threading.Thread(target=serve, daemon=True).start()
        yield f"{folder}/relay.sock"
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def echoing() -> Iterator[int]:
    """Give the port of a server that sends back what it got when its input ends."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(b"".join(iter(lambda: peer.recv(65536), b"")))  # noqa: B023

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def asked(address: Address, data: bytes) -> bytes:
    """Send data, end the sending, return what comes back."""
    with socket.create_connection(address, timeout=30) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def free() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _join(one: socket.socket, other: socket.socket) -> None:
    """Let each get what the other says, until one of them ends."""

    def move(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def both() -> None:
        with one, other:
            back = threading.Thread(target=move, args=(other, one), daemon=True)
            back.start()
            move(one, other)
            back.join()

    threading.Thread(target=both, daemon=True).start()
