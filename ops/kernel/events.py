"""What the engine announces, and who may listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """One moment of a run.

    Args:
        kind: `run.started`, `run.done`, `run.failed`, `run.undone`, `run.left`, `step.started`, `step.acted`
            (effect made, not yet recorded), `step.done`, `step.skipped`, `step.failed`, `step.undoing`, `step.undone`,
            `step.undo_failed`, `progress` or `note`.
        run: Identifier of the run, empty for a task without one.
        step: Identifier of the step, empty for the run itself.
        message: One line for a person.
        data: Facts of the moment, JSON values only.
    """

    kind: str
    run: str = ""
    step: str = ""
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Observer = Callable[[Event], None]
