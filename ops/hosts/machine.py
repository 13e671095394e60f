"""A machine that an environment runs on: this one (`this_machine`), or a host over SSH (`ssh.machine`).

The work is done on the machine by its agent (`ops.hosts.agent`); here it is asked for, verb by verb.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from ops.hosts.agents import Agents, Pipe
from ops.hosts.detached import ConnectionLost, Job
from ops.hosts.output import Lines
from ops.hosts.place import Place as Place
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    DependencyError,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TakenOver,
    TimeLimitReached,
)

LAST_WORDS: Final = 10.0
"""Seconds for taking back what was asked, when the time for it is used up already."""
_KINDS: Final[Mapping[str, type[OpsError]]] = {
    "busy": Busy,
    "taken": TakenOver,
    "missing": DependencyError,
    "failed": StepFailed,
    "config": ConfigurationError,
    "permission": NotPermitted,
}


class Machine(ABC):
    """One machine.

    Args:
        name: What people call it.
        place: Where the environment's folder is on it.
    """

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.lease: dict[str, Any] | None = None
        """The lease that our changes name, while we hold it."""
        self.known: dict[str, Any] = {}
        """What was seen when the lease was taken and nobody has changed since: `observed`, `tags`.
        Whoever uses a part takes it out."""
        self.round_trips = 0
        """How often something was asked so far."""
        self._counting = threading.Lock()
        self._agents = Agents(self._start, self._lost)

    def call(
        self,
        context: Context,
        verb: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        reads: bool,
    ) -> dict[str, Any]:
        """Carry out a verb of the agent and return its result.

        Args:
            context: Gives the deadline and takes what the verb prints for people.
            verb: Its name.
            arguments: JSON values.
            reads: It changes nothing, so it may be asked in a dry run.

        Raises:
            ConnectionFailed: The machine does not answer; what was asked for may have been done or not.
            TimeLimitReached: The context's time is used up.
            OpsError: What the agent says: `Busy`, `TakenOver`, `DependencyError`, `StepFailed`, `ConfigurationError`,
                `NotPermitted`.
        """
        if not reads:
            guard.effect(f"{verb} on {self.name}")
        given = {**self._lease(reads), **(arguments or {})}
        lines = Lines(context.output)
        try:
            return self._ask(context, verb, given, told=lines.take)
        except ConnectionLost:
            if not reads:
                raise
            # Many a connection is found dead only when something is asked, and reading may be done twice.
            return self._ask(context, verb, given, told=lines.take)
        finally:
            lines.finish()

    def detached(
        self, context: Context, verb: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Carry out a changing verb in a process that outlives the connection, and wait for its end.

        What it prints is told line by line as progress. A connection that breaks is made again. When the time is used
        up or a signal comes, the job is ended.

        Raises:
            OpsError: As `call`; `StepFailed` as well when the job's process was killed.
        """
        guard.effect(f"{verb} on {self.name}")
        inner = {**self.place.arguments(), **self._lease(reads=False), **(arguments or {})}
        job = Job(self._ask, context, self.name, verb, inner)
        try:
            return self.understood(job.answer())
        except (TimeLimitReached, Interrupted):
            with contextlib.suppress(OpsError):
                last = dataclasses.replace(context, deadline=Deadline(LAST_WORDS))
                self._ask(last, "jobs.cancel", {"id": job.id})
            raise

    def put(self, context: Context, content: bytes | Path, path: str, mode: int = 0o600) -> None:
        """Write a file below the environment's folder, whole or not at all.

        Args:
            context: Gives the deadline.
            content: The bytes, or the file on this machine that has them.
            path: Relative to the environment's folder.
            mode: Its permissions.
        """
        self.put_all(context, [(content, path, mode)])

    def put_all(self, context: Context, some: Sequence[tuple[bytes | Path, str, int]]) -> None:
        """Write several files in one round trip; each is content, path and mode as for `put`."""
        if not some:
            return
        guard.effect(f"write {', '.join(path for _, path, _ in some)} on {self.name}")
        read = [each if isinstance(each, bytes) else each.read_bytes() for each, _, _ in some]
        about = [
            {
                "path": path,
                "mode": mode,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for data, (_, path, mode) in zip(read, some, strict=True)
        ]
        arguments = {**self._lease(reads=False), "files": about}
        self._ask(context, "files.put", arguments, content=b"".join(read))

    def stream(
        self,
        context: Context,
        verb: str,
        arguments: Mapping[str, Any],
        told: Callable[[bytes], None],
    ) -> dict[str, Any]:
        """Carry out a verb that only reads and pass on what it prints as it comes; never asked twice.

        Args:
            context: Gives the deadline.
            verb: Its name.
            arguments: JSON values.
            told: Takes what it prints; while it waits, the other side waits as well.

        Raises:
            OpsError: As `call`.
        """
        return self._ask(context, verb, arguments, told=told)

    def attached(self, argv: Sequence[str], terminal: bool) -> int:
        """Run a person's command with the input and the outputs of this process; return its exit code.

        Args:
            argv: Program and arguments.
            terminal: Whether our input and output are one, so that it gets one as well.

        Raises:
            ConnectionFailed: The connection broke; the command may run on.
        """
        guard.effect(f"run {argv[0]} on {self.name}")
        with self._counting:
            self.round_trips += 1
        return self._attach(argv, terminal)

    @abstractmethod
    def _attach(self, argv: Sequence[str], terminal: bool) -> int:
        """Run the command of `attached`."""

    @abstractmethod
    def tunnel(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """Give an address here that leads to a TCP port as the machine sees it."""

    @abstractmethod
    def expose(self, port: int) -> AbstractContextManager[int]:
        """Give a port on the machine's 127.0.0.1 that leads to a port of 127.0.0.1 here."""

    def close(self) -> None:
        """End what is open; the next question makes it again."""
        self._agents.close()

    @abstractmethod
    def _start(self) -> Pipe:
        """Start the agent's command.

        Raises:
            OpsError: There is no connection.
        """

    @abstractmethod
    def _lost(self) -> None:
        """Forget the connection: an agent that had answered is gone."""

    def _lease(self, reads: bool) -> dict[str, Any]:
        return {"lease": self.lease} if self.lease and not reads else {}

    def _ask(
        self,
        context: Context,
        verb: str,
        arguments: Mapping[str, Any],
        *,
        told: Callable[[bytes], None] = lambda _: None,
        content: bytes = b"",
        seconds: float = float("inf"),
    ) -> dict[str, Any]:
        with self._counting:
            self.round_trips += 1
        line = json.dumps({**self.place.arguments(), **arguments}).encode() + b"\n"
        last = bytearray()

        def also(data: bytes) -> None:
            last[:] = (last + data)[-2000:]
            told(data)

        data = self._agents.exchange(context, self.name, verb, line + content, also, seconds)
        words = last.decode(errors="replace").strip()
        answer = json.loads(data)
        if "ended" in answer:
            raise StepFailed(f"{self.name}: {verb} gave no answer", why=words or answer["ended"])
        return self.understood(answer)

    def understood(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result in an answer of the agent.

        Raises:
            OpsError: The answer says what went wrong.
        """
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        kind = _KINDS[answer["kind"]]
        raise kind(f"{self.name}: {answer['what']}", why=answer["why"], hint=answer["hint"])
