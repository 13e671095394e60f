"""The machine that this process runs on, as one of the machines of an environment."""

from __future__ import annotations

import contextlib
import os
import subprocess  # nosec B404
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from ops.hosts import agent_file, runner
from ops.hosts.agents import Pipe
from ops.hosts.machine import Machine, Place
from ops.kernel.settings import environ

_ENGINE: Final = ("DOCKER_", "XDG_RUNTIME_DIR")
"""Variables that lead to the Docker engine beside those that every command gets."""
_CHUNK: Final = 64 * 1024


class ThisMachine(Machine):
    """The machine that this process runs on."""

    def __init__(self, place: Place) -> None:
        super().__init__("localhost", place)

    @contextlib.contextmanager
    def tunnel(self, host: str, port: int) -> Iterator[tuple[str, int]]:
        """Give the address itself: here it is what the machine sees."""
        yield host, port

    @contextlib.contextmanager
    def expose(self, port: int) -> Iterator[int]:
        """Give the port itself."""
        yield port

    def _attach(self, argv: Sequence[str], terminal: bool) -> int:
        return runner.foreground(argv)

    def _lost(self) -> None:
        """Do nothing: there is no connection."""

    def _start(self) -> Pipe:
        engine = {
            name: value for name, value in environ.variables().items() if name.startswith(_ENGINE)
        }
        return _Child(
            runner.start(
                agent_file.command(sys.executable),
                cwd=None,
                env=runner.base_environment() | engine,
                account=None,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )


class _Child(Pipe):
    """A process of ours.

    Args:
        process: With pipes as input and outputs; it leads a group of its own.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None  # nosec B101
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def receive(self, seconds: float | None) -> bytes:
        assert self._process.stdout is not None  # nosec B101
        return os.read(self._process.stdout.fileno(), _CHUNK)

    def outcome(self) -> tuple[int, bytes]:
        assert self._process.stderr is not None  # nosec B101
        return self._process.wait(), self._process.stderr.read()

    def stop(self) -> None:
        runner.end(self._process)

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None  # nosec B101
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._process.wait()
