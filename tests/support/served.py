"""An agent as a machine runs it, asked over its pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ops.hosts import agent_file
from ops.hosts.agent import serving


class Served:
    """An agent that was just started; it waits for its archive, which is `agent_file.content()`."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            agent_file.command(sys.executable), stdin=pipe, stdout=pipe, stderr=pipe
        )

    def send(self, data: bytes) -> None:
        """Write to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def take(self, size: int) -> bytes:
        """Read from its output."""
        assert self.process.stdout is not None
        return self.process.stdout.read(size)

    def frame(self) -> tuple[bytes, bytes]:
        """Return the kind and the content of the next frame."""
        kind, size = serving.FRAME.unpack(self.take(serving.FRAME.size))
        return kind, self.take(size)

    def announce(self, verb: str, size: int) -> None:
        """Announce a question, for which it is ready then."""
        self.send(serving.QUESTION.pack(len(verb), size) + verb.encode())
        assert self.frame() == (serving.READY, b"")

    def ask(self, verb: str, arguments: Mapping[str, Any], more: bytes = b"") -> tuple[Any, str]:
        """Ask; return the answer and what it printed for people."""
        data = json.dumps(arguments).encode() + b"\n" + more
        self.announce(verb, len(data))
        self.send(data)
        told = b""
        while (frame := self.frame())[0] == serving.TOLD:
            told += frame[1]
        return json.loads(frame[1]), told.decode()


@contextmanager
def serving_agent() -> Iterator[Served]:
    """Give an agent that waits for questions; it ends afterwards."""
    one = Served()
    with one.process:
        one.send(agent_file.content())
        assert one.take(len(serving.GREETING)) == serving.GREETING
        yield one
        one.process.kill()
