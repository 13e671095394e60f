"""A command that prints for ever, and what it printed so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support import forks
from tests.support.local import eventually


@dataclass
class Following:
    """A running `inv logs --follow`.

    Args:
        process: The command.
        lines: What it printed on standard output so far.
    """

    process: forks.Process
    lines: list[str] = field(default_factory=list)

    def sees(self, text: str, seconds: float = 60) -> bool:
        """Wait for a line with this text."""
        return eventually(lambda: any(text in each for each in list(self.lines)), seconds)

    def interrupt(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def following(process: forks.Process) -> Iterator[Following]:
    """Collect what a command prints; it is gone at the end."""
    made = Following(process)

    def collect() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            made.lines.append(line.rstrip("\n"))

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    with process:  # closes its outputs
        try:
            yield made
        finally:
            process.kill()
            process.wait()
            thread.join(10)
