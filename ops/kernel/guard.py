"""Where a call leaves the process it asks here first.

Every adapter names what it is about to change with `effect()`. In a dry run, under SAFE_MODE and in a task
that declares itself read-only the answer is an error, so a new operation cannot forget the dry run.
The mode belongs to the process, not to a thread: steps that run in parallel are covered as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import Enum

from ops.kernel.errors import EffectRefused


class Mode(Enum):
    """What may leave this process."""

    CHANGE = "change"
    DRY_RUN = "dry run"
    READ = "read-only task"


_mode: Mode = Mode.CHANGE


def mode() -> Mode:
    """Return the mode in force."""
    return _mode


def may_change() -> bool:
    """Say whether effects are allowed now."""
    return _mode is Mode.CHANGE


@contextlib.contextmanager
def scope(new: Mode) -> Iterator[None]:
    """Put `new` in force for a block; a stricter mode that is in force already stays."""
    global _mode
    before = _mode
    if before is Mode.CHANGE:
        _mode = new
    try:
        yield
    finally:
        _mode = before


def effect(description: str) -> None:
    """Announce a change that is about to leave the process.

    Args:
        description: What would change, e.g. "write /etc/x" or "run git fetch".

    Raises:
        EffectRefused: In a dry run or a read-only task.
    """
    if _mode is not Mode.CHANGE:
        raise EffectRefused(
            f"refused in a {_mode.value}: {description}",
            why="nothing may change here; this is a defect of the task",
            hint="report it with the command you ran",
        )
