"""Waits for a job on a machine: long polls that a broken connection only delays."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops.hosts.output import Lines
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, StepFailed

POLL: Final = 12.0
"""Seconds that one question waits on the machine for the job's end: a bake of the default length is one question."""
MARGIN: Final = 10.0
"""Seconds after that until the connection counts as lost."""
_SLOWEST: Final = 2.0
_TICK: Final = 0.1
_LINES: Final = 15


class ConnectionLost(ConnectionFailed):
    """The connection broke after the question: what was asked for may have been done or not."""


class Ask(Protocol):
    """Asks the machine's agent something."""

    def __call__(
        self,
        context: Context,
        verb: str,
        arguments: Mapping[str, Any],
        *,
        told: Any = ...,
        seconds: float = ...,
    ) -> dict[str, Any]:
        """Return the result of a verb; what it prints for people goes to `told`."""


class Job:
    """A verb in a process of its own.

    Args:
        ask: Asks the machine.
        context: Gives the deadline, takes output and progress.
        name: Of the machine.
        verb: What the job does.
        arguments: Of the verb.
    """

    def __init__(
        self, ask: Ask, context: Context, name: str, verb: str, arguments: Mapping[str, Any]
    ) -> None:
        # One attempt is one job: a later attempt of the same step must not find the result of this one.
        self.id = f"{verb}-{uuid.uuid4().hex[:12]}"
        self._ask = ask
        self._context = context
        self._name = name
        self._verb = verb
        self._arguments = arguments
        self._started = False
        self._reached = False
        self._offset = 0
        self._lines = Lines(self._told)
        self._last: list[str] = []

    def answer(self) -> dict[str, Any]:
        """Start it, wait for its end, and return what its verb answered.

        Raises:
            ConnectionFailed: The machine was not reached again in time.
            StepFailed: Its process is gone without an answer.
            TimeLimitReached: The context's time is used up.
        """
        deadline = self._context.deadline
        asking = Retrying(
            retry=retry_if_exception(self._may_run),
            wait=wait_random_exponential(multiplier=_TICK, max=_SLOWEST),
            stop=lambda _: deadline.remaining() <= 0,
            before_sleep=self._lost,
            sleep=self._pause,
            reraise=True,
        )
        state: dict[str, Any] = {"state": "running"}
        while state["state"] == "running":
            deadline.check(f"waiting for {self._verb} on {self._name}")
            state = asking(self._poll)
        self._lines.finish()
        if state["state"] == "lost":
            raise StepFailed(
                f"{self._name}: {self._verb} ended without an answer",
                why="\n".join(
                    ["its process was killed, or the machine was restarted", *self._last]
                ),
                hint="look at the machine's memory and its log: journalctl -k",
            )
        answer: dict[str, Any] = state["answer"]
        return answer

    def _poll(self) -> dict[str, Any]:
        seconds = min(POLL, self._context.deadline.remaining())
        about: dict[str, Any] = {"id": self.id, "seconds": seconds, "offset": self._offset}
        if not self._started:
            about |= {"verb": self._verb, "arguments": self._arguments}
            # We end it when the time is used up; its own limit is for a job that nobody asks about any more.
            about |= {"limit": self._context.deadline.remaining() + MARGIN}
        verb = "jobs.wait" if self._started else "jobs.start"
        state = self._ask(self._context, verb, about, told=self._take, seconds=seconds + MARGIN)
        self._started = self._reached = True
        return state

    def _may_run(self, error: BaseException) -> bool:
        """Say whether to ask again: not when the machine was never reached."""
        self._reached = self._reached or isinstance(error, ConnectionLost)
        return self._reached and isinstance(error, ConnectionFailed)

    def _take(self, data: bytes) -> None:
        # What came before a connection broke is not asked for again.
        self._offset += len(data)
        self._lines.take(data)

    def _told(self, lines: bytes) -> None:
        self._context.output(lines)
        texts = [line.strip() for line in lines.decode(errors="replace").splitlines()]
        for text in filter(None, texts):
            self._context.progress(f"{self._name}: {text}")
            self._last = [*self._last, text][-_LINES:]

    def _lost(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        self._context.note(f"{self._name}: {error}; asking again, the work goes on there")

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._context.deadline.check(f"waiting for {self._verb} on {self._name}")
            time.sleep(min(left, _TICK))
