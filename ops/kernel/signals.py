"""Signals as a designed path: the first one ends the atomic step and undoes, the second leaves the journal."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ops.kernel.deadline import Deadline
from ops.kernel.errors import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Abandoned(KeyboardInterrupt):
    """The second signal: stop at once and leave everything to `runs.resume` or `runs.undo`."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class Signals:
    """Catches signals for the length of a run.

    A step that may be interrupted registers its deadline, so that its command is ended at once.
    """

    def __init__(self) -> None:
        self._received = 0
        self._deadlines: list[Deadline] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in HANDLED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._received:
            raise Abandoned(number)
        self._received = signal.SIGTERM if number == signal.SIGHUP else number
        for deadline in self._deadlines:
            deadline.interrupt(self._error())

    def _error(self) -> Interrupted:
        name = signal.Signals(self._received).name
        return Interrupted(f"stopped by {name}", signal_number=self._received)

    def check(self) -> None:
        """Stop here when a signal has come.

        Raises:
            Interrupted: It has.
        """
        if self._received:
            raise self._error()

    def interruptible(self, deadline: Deadline) -> None:
        """Let the first signal end the work that asks this deadline, also one that has come already."""
        self._deadlines = [*self._deadlines, deadline]
        if self._received:
            deadline.interrupt(self._error())

    def settle(self) -> None:
        """No step runs now: nothing to interrupt."""
        self._deadlines = []
