"""What the journal holds: runs, their steps, and the states that each may go through."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.kernel.owner import Owner

RunState = Literal["running", "done", "failed", "undone", "undo_failed", "interrupted", "stopped"]
StepState = Literal[
    "pending", "started", "done", "skipped", "failed", "undoing", "undone", "undo_failed"
]

_OPEN_STEP: tuple[StepState, ...] = (
    "pending",
    "started",
    "failed",
    "undoing",
    "undone",
    "undo_failed",
)
STEP_CHANGES: Mapping[StepState, tuple[StepState, ...]] = {
    # A step that is not done may be begun, found done or fail its look-first, now or on resume.
    "started": _OPEN_STEP,
    "skipped": _OPEN_STEP,
    "failed": _OPEN_STEP,
    "done": ("started",),
    "undoing": ("started", "done", "failed", "undoing", "undo_failed"),
    "undone": ("undoing",),
    "undo_failed": ("undoing",),
}
"""New state of a step: the states that it may come from."""

TAKEABLE: tuple[RunState, ...] = ("running", "failed", "interrupted", "stopped", "undo_failed")
"""States of a run that another process may take over; a running one only from a dead owner."""


STALE_SECONDS = 15.0
"""Silence of a run's owner from which on the run is free to take."""


@dataclass(frozen=True)
class NewRun:
    """A run that is about to begin.

    Args:
        task: Name on the command line.
        operation: e.g. "deploy".
        environment: Its name.
        target: What is changed, for a person.
        actor: Who asked.
        invops_version: Version that made the plan.
        plan_schema: Version of the plan's form.
        plan: The plan, JSON values only.
        seen: Digest of what the plan was made from.
        dry_run: Whether it only shows the plan.
    """

    task: str
    operation: str
    environment: str
    target: str
    actor: str
    invops_version: str
    plan_schema: int
    plan: Mapping[str, Any]
    seen: str
    dry_run: bool = False


@dataclass(frozen=True)
class NewStep:
    """A step of a run that is about to begin; see `StepRecord`."""

    step_id: str
    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run in the journal. Times are seconds since the epoch by the clock of the database.

    Args:
        id: Sorts by time; 16 characters.
        host: Machine of the process that owns it.
        pid: That process.
        pid_started: When that process started.
        state: Where it stands.
        heartbeat: Last sign of life of the owner.
        error: What failed, redacted; empty when nothing did.
        silence: Seconds since the last sign of life.
    """

    id: str
    task: str
    operation: str
    environment: str
    target: str
    actor: str
    host: str
    pid: int
    pid_started: float
    invops_version: str
    plan_schema: int
    plan: dict[str, Any]
    seen: str
    dry_run: bool
    state: RunState
    heartbeat: float
    started: float
    finished: float | None
    exit_code: int | None
    error: str
    silence: float

    @property
    def owner(self) -> Owner:
        """The process that owns it."""
        return Owner(self.host, self.pid, self.pid_started)

    @property
    def lost(self) -> bool:
        """Whether it is under way but nobody is at it: its owner is gone or silent."""
        return self.state == "running" and (self.silence > STALE_SECONDS or self.owner.gone)


@dataclass(frozen=True)
class StepRecord:
    """A step in the journal.

    Args:
        run_id: Its run.
        step_id: Unique in the run.
        position: Place in the plan, from 0.
        action: Name in the registry of steps.
        arguments: JSON values and references.
        state: Where it stands.
        attempts: How often it was started.
        result: What it returned, JSON; None before.
        note: Why it was skipped.
        error: What failed, redacted.
        process_group: Group of the last command that it started.
        process_started: When that command started.
        log_offset: Where its output begins in the run's log, in bytes.
    """

    run_id: str
    step_id: str
    position: int
    action: str
    arguments: dict[str, Any]
    state: StepState
    attempts: int
    started: float | None
    finished: float | None
    result: Any
    note: str
    error: str
    process_group: int | None
    process_started: float | None
    log_offset: int | None


# Without i, l, o and u, which are misread (source: Crockford's base 32).
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """Return an identifier that sorts by time: 11 digits of microseconds, 5 of chance."""
    return _digits(time.time_ns() // 1000, 11) + _digits(secrets.randbits(25), 5)


def _digits(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII only.

    Raises:
        TypeError: It is not made of JSON values.
        ValueError: It holds NaN or an infinite number.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain(text: str) -> str:
    """Return a text that every database takes: what is no UTF-8, and NUL, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
