"""A program on a host, its input and outputs being a session of the open connection."""

from __future__ import annotations

import contextlib
from typing import Final

import paramiko

from ops.hosts.agents import Pipe
from ops.hosts.ssh.link import BROKEN

_CHUNK: Final = 64 * 1024
_DRAIN: Final = 1.0
"""Seconds: something that the program left behind may hold its outputs open; it is not waited for."""


def started(channel: paramiko.Channel, command: str) -> Pipe:
    """Start a program.

    Args:
        channel: A new session.
        command: For the shell of the host's user, quoted.

    Raises:
        EOFError: The connection broke.
    """
    try:
        channel.exec_command(command)  # nosec B601
    except paramiko.SSHException as error:
        channel.close()
        raise EOFError(str(error)) from error
    return _Session(channel)


class _Session(Pipe):
    """A session with a program.

    Args:
        channel: The session.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def send(self, data: bytes) -> None:
        self._channel.settimeout(None)
        self._channel.sendall(data)

    def receive(self, seconds: float | None) -> bytes:
        self._channel.settimeout(seconds)
        return self._channel.recv(_CHUNK)

    def outcome(self) -> tuple[int, bytes]:
        code = self._channel.recv_exit_status()
        if code < 0:
            raise EOFError("the connection was cut, or the program was killed")
        self._channel.settimeout(_DRAIN)
        words = b""
        with contextlib.suppress(TimeoutError):
            while data := self._channel.recv_stderr(_CHUNK):
                words += data
        return code, words

    def stop(self) -> None:
        with contextlib.suppress(*BROKEN):
            self._channel.close()  # which tells the other side, and that may be gone

    def close(self) -> None:
        self.stop()
