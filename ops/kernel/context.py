"""What every operation and every step is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.kernel.deadline import Deadline
from ops.kernel.events import Event

if TYPE_CHECKING:
    from ops.kernel.history import History
    from ops.kernel.secrets import Secrets
    from ops.kernel.settings.models import Settings


def _ignore_output(_: bytes) -> None:
    """Drop the output of commands: for callers without a log."""


def _ignore_event(_: Event) -> None:
    """Drop events: for callers without observers."""


def _ignore_child(_: int, __: float) -> None:
    """Forget process groups: for callers without a journal."""


@dataclass(frozen=True)
class Context:
    """The surroundings of an operation.

    Args:
        settings: Frozen settings with the selected environment.
        secrets: Resolves references at the moment of use.
        deadline: How long the current work may take; each step gets its own.
        actor: Who runs it, e.g. "anna@laptop".
        run_id: Identifier of the run, empty outside of one.
        step_id: Identifier of the step, empty outside of one.
        output: Takes raw output of commands (already whole lines, not redacted) for the run's log.
        announce: Tells all observers of an event.
        child: Records process group and start time (seconds since the epoch) of a child in the journal.
        history: Where migrations and health checks are recorded; None outside of a run.
    """

    settings: Settings
    secrets: Secrets
    deadline: Deadline
    actor: str = ""
    run_id: str = ""
    step_id: str = ""
    output: Callable[[bytes], None] = _ignore_output
    announce: Callable[[Event], None] = _ignore_event
    child: Callable[[int, float], None] = _ignore_child
    history: History | None = None

    def note(self, message: str) -> None:
        """Tell the observers one fact about the current step."""
        self.announce(Event("note", self.run_id, self.step_id, message))

    def progress(self, message: str, done: int = 0, total: int = 0) -> None:
        """Tell the observers how far the current step is, in units of the caller's choice."""
        data = {"done": done, "total": total}
        self.announce(Event("progress", self.run_id, self.step_id, message, data))

    def within(self, seconds: float) -> Context:
        """Return the same context with at most `seconds` left."""
        return dataclasses.replace(self, deadline=Deadline(min(seconds, self.deadline.remaining())))
