"""One question on an open connection: input in, both outputs out, the exit code at the end."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from typing import Final

import paramiko

_CHUNK: Final = 64 * 1024
_TICK: Final = 1.0
_DRAIN: Final = 1.0


def exchange(
    channel: paramiko.Channel, command: str, data: bytes, told: Callable[[bytes], None]
) -> tuple[int, bytes]:
    """Run a command to its end.

    Args:
        channel: A new session.
        command: For the shell of the host's user, quoted.
        data: Its standard input.
        told: Takes its standard error as it comes.

    Returns:
        Exit code and standard output.

    Raises:
        EOFError: The connection broke before the command told its exit code.
    """
    channel.exec_command(command)  # nosec B601
    for start in range(
        0, len(data), _CHUNK
    ):  # at once, paramiko would copy all that is left for each packet
        channel.sendall(data[start : start + _CHUNK])
    channel.shutdown_write()
    output = bytearray()
    end = float("inf")
    with selectors.DefaultSelector() as selector:
        selector.register(channel.fileno(), selectors.EVENT_READ)
        while not (channel.eof_received or channel.closed) and time.monotonic() < end:
            selector.select(_TICK)
            _read(channel, output, told)
            if channel.exit_status_ready():
                # Something that the command left behind may hold its outputs open; it is not waited for.
                end = min(end, time.monotonic() + _DRAIN)
    _read(channel, output, told)
    code = channel.recv_exit_status()
    if code < 0:
        raise EOFError("the connection was cut, or the command was killed")
    return code, bytes(output)


def _read(channel: paramiko.Channel, output: bytearray, told: Callable[[bytes], None]) -> None:
    while channel.recv_ready():
        output += channel.recv(_CHUNK)
    while channel.recv_stderr_ready():
        told(channel.recv_stderr(_CHUNK))
