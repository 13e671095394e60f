"""The agent as a process of this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess  # nosec B404
import sys
from typing import Final

from ops.hosts import agent_file, runner
from ops.hosts.agents import Pipe
from ops.kernel.settings import environ

_ENGINE: Final = ("DOCKER_", "XDG_RUNTIME_DIR")
"""Variables that lead to the Docker engine beside those that every command gets."""
_CHUNK: Final = 64 * 1024


def started() -> Pipe:
    """Start an agent; what it is asked to change, `Machine` asks the guard about."""
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
