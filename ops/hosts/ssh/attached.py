"""A command on a host whose input and outputs are those of this process, as `ssh host command` has it."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import BinaryIO, Final

import paramiko

_CHUNK: Final = 64 * 1024
_TICK: Final = 1.0


def attached(channel: paramiko.Channel, command: str, *, terminal: bool) -> int:
    """Run a command to its end and return its exit code.

    Args:
        channel: A new session.
        command: For the shell of the host's user, quoted.
        terminal: Whether it gets one, with the keys and the size of ours.

    Raises:
        EOFError: The connection broke before the command told its exit code.
    """
    with _terminal(channel) if terminal else contextlib.nullcontext():
        channel.exec_command(command)  # nosec B601
        threading.Thread(target=_feed, args=(channel,), daemon=True).start()
        with selectors.DefaultSelector() as selector:
            selector.register(channel.fileno(), selectors.EVENT_READ)
            while not (channel.eof_received or channel.closed):
                selector.select(_TICK)
                _pass_on(channel)
        _pass_on(channel)
    code = channel.recv_exit_status()
    if code < 0:
        raise EOFError("the connection was cut, or the command was killed")
    return code


@contextlib.contextmanager
def _terminal(channel: paramiko.Channel) -> Iterator[None]:
    """Give the command a terminal like ours; every key goes to it, Ctrl-C as well."""

    def resize(*_: object) -> None:
        columns, lines = shutil.get_terminal_size()
        with contextlib.suppress(paramiko.SSHException, OSError):
            channel.resize_pty(columns, lines)

    columns, lines = shutil.get_terminal_size()
    channel.get_pty(os.environ.get("TERM", "xterm"), columns, lines)
    before = termios.tcgetattr(sys.stdin)
    heeded = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, heeded)


def _feed(channel: paramiko.Channel) -> None:
    """Pass on our input; the command sees its end."""
    # The command may end, and the channel with it, before its input does.
    with contextlib.suppress(paramiko.SSHException, OSError, ValueError):
        while data := os.read(sys.stdin.fileno(), _CHUNK):
            channel.sendall(data)
        channel.shutdown_write()


def _pass_on(channel: paramiko.Channel) -> None:
    while channel.recv_ready():
        _write(sys.stdout.buffer, channel.recv(_CHUNK))
    while channel.recv_stderr_ready():
        _write(sys.stderr.buffer, channel.recv_stderr(_CHUNK))


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
    stream.flush()
