"""Time limits: one object that every adapter asks how long it may still take."""

from __future__ import annotations

import time

from ops.kernel.errors import Interrupted, TimeLimitReached


class Deadline:
    """A moment on the monotonic clock.

    Args:
        seconds: From now, how long the work may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._interrupted: Interrupted | None = None

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def expire(self) -> None:
        """Use up the rest: the next `check` fails."""
        self._end = time.monotonic()

    def interrupt(self, error: Interrupted) -> None:
        """Use up the rest because of a signal: the next `check` raises `error`."""
        self._interrupted = error
        self.expire()

    def check(self, doing: str) -> None:
        """Fail when the time is used up.

        Raises:
            TimeLimitReached: No time is left for `doing`.
            Interrupted: A signal came and the work may be interrupted.
        """
        if self._interrupted is not None:
            raise self._interrupted
        if self.remaining() <= 0:
            raise TimeLimitReached(
                f"time limit of {self.seconds:g} s reached while {doing}",
                hint="look at the step's output with `inv runs.show`",
            )


def minutes(count: float) -> float:
    """Return `count` minutes in seconds."""
    return count * 60
