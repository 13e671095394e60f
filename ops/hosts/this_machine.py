"""The machine that this process runs on, as one of the machines of an environment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from ops.hosts import local_agent, runner
from ops.hosts.agents import Pipe
from ops.hosts.machine import Machine, Place


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
        return local_agent.started()
