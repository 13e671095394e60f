"""Peers of TCP connections: one that says nothing, one that hangs up, one that echoes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
Address = tuple[str, int]


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
        peer, _ = listener.accept()
        there = socket.create_connection((LOOPBACK, port))
        for source, target in ((peer, there), (there, peer)):
            threading.Thread(target=move, args=(source, target), daemon=True).start()

    def move(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        target.close()

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


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
