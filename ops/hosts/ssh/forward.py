"""TCP ports through an SSH connection, in both directions.

Fabric has both, but with a port that must be free beforehand, in pieces of 1 KB, and gone for good after one
connection that fails; an image of 100 MB goes through here.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final, TypeAlias

import paramiko

from ops.kernel.errors import ConnectionFailed

LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 64 * 1024
_CONNECT: Final = 10.0
End: TypeAlias = socket.socket | paramiko.Channel


@contextlib.contextmanager
def to_there(transport: paramiko.Transport, host: str, port: int) -> Iterator[int]:
    """Give a port of 127.0.0.1 here that leads to an address as the other side sees it.

    Args:
        transport: The connection.
        host: Name or address there.
        port: TCP port there.
    """
    with socket.create_server((LOOPBACK, 0)) as listener, _pairs() as join:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener was closed
                while True:
                    here, origin = listener.accept()
                    try:
                        there = transport.open_channel(
                            "direct-tcpip", (host, port), origin, timeout=_CONNECT
                        )
                    except (paramiko.SSHException, EOFError, OSError):
                        here.close()  # as a closed port does
                    else:
                        join(here, there)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def from_there(transport: paramiko.Transport, name: str, port: int) -> Iterator[int]:
    """Give a port of the other side's 127.0.0.1 that leads to a port of 127.0.0.1 here.

    Args:
        transport: The connection.
        name: Of the other side, for messages.
        port: TCP port here.

    Raises:
        ConnectionFailed: Its SSH server does not allow that.
    """
    with _pairs() as join:

        def connect(there: paramiko.Channel, *_: object) -> None:
            # paramiko calls this in the thread that reads the connection, which must not wait.
            threading.Thread(target=meet, args=(there,), daemon=True).start()

        def meet(there: paramiko.Channel) -> None:
            try:
                here = socket.create_connection((LOOPBACK, port), timeout=_CONNECT)
            except OSError:
                there.close()
            else:
                here.settimeout(None)
                join(here, there)

        try:
            opened = transport.request_port_forward(LOOPBACK, 0, connect)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise ConnectionFailed(
                f"{name} gives no port for the way back",
                why=str(error),
                hint="its sshd must allow it: AllowTcpForwarding yes (or remote)",
            ) from error
        try:
            yield opened
        finally:
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.cancel_port_forward(LOOPBACK, opened)


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
