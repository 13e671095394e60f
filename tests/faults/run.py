"""The test Program: `invops` with one more observer, which does harm at a named event.

    FAULT=kill:step.acted:switch python -m tests.faults.run deploy --env local

FAULT is KIND:EVENT:STEP; several are separated by commas and come in this order, each once. An empty STEP is any step.
KIND+SECONDS comes that much later, in the middle of what the event begins.

| kind | does |
|---|---|
| kill | ends the process at once, SIGKILL |
| SIGINT, SIGTERM, SIGSTOP … | sends the process this signal |
| expire | uses up the time limit of the step |
| fill | fills the file system of the folder in FAULT_FOLDER, which must be a small one; the file there is `ballast` |

FAULT_TASKS names a module with a function `collection`; without it these are the tasks of invops.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ops import program
from ops.kernel import session
from ops.kernel.deadline import Deadline
from ops.kernel.events import Event

SMALL = 4 * 2**30
"""Bytes: a larger file system is the machine's own and is not filled."""


@dataclass(frozen=True)
class Fault:
    """What happens when.

    Args:
        kind: See the table above.
        event: Kind of the event, e.g. "step.acted".
        step: Id of the step, empty for any.
    """

    kind: str
    event: str
    step: str

    def meets(self, event: Event) -> bool:
        """Say whether this is its moment."""
        return event.kind == self.event and self.step in ("", event.step)


@dataclass
class Harm:
    """Observer that does what `FAULT` says."""

    faults: list[Fault]
    deadlines: dict[str, Deadline] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        """Do the next fault if this is its event."""
        if "deadline" in event.data:
            self.deadlines[event.step] = event.data["deadline"]
        if self.faults and self.faults[0].meets(event):
            self._do(self.faults.pop(0).kind, event)

    def _do(self, kind: str, event: Event) -> None:
        kind, _, later = kind.partition("+")
        if later:
            timer = threading.Timer(float(later), self._do, (kind, event))
            timer.daemon = True
            timer.start()
        elif kind == "expire":
            self.deadlines[event.step].expire()
        elif kind == "fill":
            fill(Path(os.environ["FAULT_FOLDER"]))
        else:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.Signals[kind])


def parse(text: str) -> list[Fault]:
    """Read the variable `FAULT`."""
    return [Fault(*each.split(":", 2)) for each in text.split(",") if each]


def fill(folder: Path) -> None:
    """Fill a small file system to the last byte."""
    status = os.statvfs(folder)
    if status.f_blocks * status.f_frsize > SMALL:
        raise AssertionError(f"{folder} is not on a small file system")
    with (folder / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(2**16)):
            pass


def main() -> None:
    """Run the tasks with the observer."""
    session.EXTRA_OBSERVERS.append(Harm(parse(os.environ.get("FAULT", ""))).observe)
    tasks = importlib.import_module(os.environ.get("FAULT_TASKS", "ops.tasks"))
    program.make(tasks.collection(), "invops").run(["invops", *sys.argv[1:]])


if __name__ == "__main__":
    main()
