"""Questions that nobody waits for any more; what real agents do is in test_machine.py and the tests over SSH."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ops.hosts.agents import Agents, Pipe
from ops.kernel.errors import TimeLimitReached
from tests.support import runs
from tests.support.local import eventually


class Silent(Pipe):
    """A program that never says anything, as on a host that has just frozen."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.closed = threading.Event()

    def send(self, data: bytes) -> None:
        pass

    def receive(self, seconds: float | None) -> bytes:
        self.stopped.wait()
        return b""

    def outcome(self) -> tuple[int, bytes]:
        raise EOFError("it was cut")

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.stopped.set()
        self.closed.set()


@pytest.mark.parametrize("connected", [True, False], ids=["no greeting", "still connecting"])
def test_agent_that_still_starts_is_ended_and_the_connection_stays(
    tmp_path: Path, connected: bool
) -> None:
    pipe, go, lost = Silent(), threading.Event(), threading.Event()

    def start() -> Pipe:
        go.wait()
        return pipe

    if connected:
        go.set()
    context = runs.context(runs.project(tmp_path), seconds=0.5)
    with pytest.raises(TimeLimitReached, match="waiting for look on web1"):
        Agents(start, lost.set).exchange(context, "web1", "look", b"", lambda _: None, 60)
    assert not pipe.closed.is_set() or connected
    go.set()
    assert eventually(pipe.closed.is_set)
    assert not lost.is_set()
