"""The machine that this process runs on, as one of the machines of an environment."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final, cast

from ops.hosts import agent_file, runner
from ops.hosts.machine import Machine, Place
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import TimeLimitReached
from ops.kernel.settings import environ

_ENGINE: Final = ("DOCKER_", "XDG_RUNTIME_DIR")
"""Variables that lead to the Docker engine beside those that every command gets."""


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

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _exchange(
        self,
        context: Context,
        verb: str,
        data: bytes,
        told: Callable[[bytes], None],
        seconds: float,
    ) -> tuple[int, bytes]:
        engine = {
            name: value for name, value in environ.variables().items() if name.startswith(_ENGINE)
        }
        with files.unnamed() as output:
            try:
                result = runner.run(
                    dataclasses.replace(context, output=told),
                    agent_file.command(sys.executable, verb),
                    reads=True,  # whether it changes anything was asked before
                    environment=engine,
                    input=data,
                    stdout_to=cast(BinaryIO, output),
                    check=False,
                )
            except TimeLimitReached:
                context.deadline.check(f"waiting for {verb}")
                raise
            output.seek(0)
            return result.code, output.read()
