"""Running agents of a machine, asked one question after the other; `ops.hosts.agent.serving` is their side of it.

An agent stays for the run: starting one takes a machine longer than most questions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from ops.hosts import agent_file, runner
from ops.hosts.agent import serving
from ops.hosts.detached import ConnectionLost
from ops.hosts.patience import patiently
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError, NotPermitted, OpsError, StepFailed

_CHUNK: Final = 64 * 1024
_NO_PYTHON: Final = 127
_READY: Final = 10.0
"""Seconds within which an agent that has answered before says that it is there."""


class Pipe(Protocol):
    """Input and outputs of a program on a machine."""

    def send(self, data: bytes) -> None:
        """Write all of it to its input."""

    def receive(self, seconds: float | None) -> bytes:
        """Return what came next of its output, nothing at its end.

        Raises:
            TimeoutError: Nothing came within `seconds`, where the other side may be gone without a word.
        """

    def outcome(self) -> tuple[int, bytes]:
        """Wait for its end; return its exit code and what it wrote on standard error.

        Raises:
            EOFError: The connection broke.
        """

    def stop(self) -> None:
        """End it now; whoever waits for its output gets its end."""

    def close(self) -> None:
        """End it and leave nothing of it open here."""


class Ended(Exception):
    """The agent ended before it answered.

    Args:
        code: Its exit code; negative is the signal that ended it.
        words: What it said on standard error.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Agent:
    """One running agent.

    Args:
        pipe: Of its process, just started with `agent_file.command`.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._came = bytearray()
        self._known = False

    def begin(self, verb: str, size: int) -> None:
        """Announce a question and wait until the agent is there; nothing of it has happened then.

        Raises:
            Ended: The agent is gone.
            OSError: The connection broke.
            EOFError: Likewise.
        """
        head = serving.QUESTION.pack(len(verb), size) + verb.encode()
        self._send(head if self._known else agent_file.content() + head)
        if not self._known:
            while serving.GREETING not in self._came:
                self._more(None)
            del self._came[: self._came.index(serving.GREETING) + len(serving.GREETING)]
        self._frame(_READY if self._known else None)
        self._known = True

    def finish(self, data: bytes, told: Callable[[bytes], None]) -> bytes:
        """Ask what was announced; return the answer.

        Args:
            data: What is asked.
            told: Takes what the agent says for people, as it comes.

        Raises:
            Ended: As `begin`, as the other two.
        """
        self._send(data)
        while True:
            kind, content = self._frame(None)
            if kind == serving.ANSWER:
                return content
            told(content)

    def stop(self) -> None:
        """End it now."""
        self._pipe.stop()

    def close(self) -> None:
        """End it and leave nothing open."""
        self._pipe.close()

    def _send(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _CHUNK):
                # All at once, paramiko would copy what is left for each packet.
                self._pipe.send(data[start : start + _CHUNK])
        except OSError:
            raise self._ended() from None

    def _frame(self, seconds: float | None) -> tuple[bytes, bytes]:
        kind, size = serving.FRAME.unpack(self._take(serving.FRAME.size, seconds))
        return kind, self._take(size, seconds)

    def _take(self, size: int, seconds: float | None) -> bytes:
        while len(self._came) < size:
            self._more(seconds)
        taken = bytes(self._came[:size])
        del self._came[:size]
        return taken

    def _more(self, seconds: float | None) -> None:
        data = self._pipe.receive(seconds)
        if not data:
            raise self._ended()
        self._came += data

    def _ended(self) -> Ended:
        code, words = self._pipe.outcome()
        return Ended(code, words.decode(errors="replace").strip())


class _Turn:
    """One question, from its announcement on: who waits for the answer may end it at any moment.

    Args:
        verb: What is asked.
        size: Bytes of the question.
    """

    def __init__(self, verb: str, size: int) -> None:
        self._verb = verb
        self._size = size
        self._agent: Agent | None = None
        self._lock = threading.Lock()
        self.stopped = False

    def begin(self, agent: Agent) -> None:
        """Announce it to an agent; raises as `Agent.begin`."""
        with self._lock:
            self._agent = agent
            if self.stopped:
                raise EOFError("nobody waits any more")
        agent.begin(self._verb, self._size)

    def stop(self) -> None:
        """End the agent that has it, and whoever would get it next."""
        with self._lock:
            self.stopped = True
            if self._agent is not None:
                self._agent.stop()


class Agents:
    """The agents of one machine: as many as questions are asked at the same time.

    Args:
        start: Starts one.
        lost: Called when one that had answered is gone.
    """

    def __init__(self, start: Callable[[], Pipe], lost: Callable[[], None]) -> None:
        self._start = start
        self._lost = lost
        self._idle: list[Agent] = []
        self._lock = threading.Lock()

    def exchange(
        self,
        context: Context,
        machine: str,
        verb: str,
        data: bytes,
        told: Callable[[bytes], None],
        seconds: float,
    ) -> bytes:
        """Ask an agent and return its answer.

        Args:
            context: Gives the deadline.
            machine: Its name, for messages.
            verb: What to do.
            data: What it reads.
            told: Takes what it says for people, as it comes.
            seconds: After which the connection counts as lost.

        Raises:
            ConnectionFailed: There is no connection, it broke, or no end came within `seconds`.
            OpsError: There is no agent on the machine.
        """
        turn = _Turn(verb, len(data))

        def work() -> bytes:
            try:
                agent = self._ready(turn)
                try:
                    answer = agent.finish(data, told)
                except BaseException:
                    agent.close()
                    raise
                self._back(agent)
                return answer
            except Ended as ended:
                raise _not_there(machine, verb, ended) from None
            except (OSError, EOFError) as error:
                if not turn.stopped:
                    self._lost()
                raise ConnectionLost(
                    f"the connection to {machine} broke while waiting for {verb}",
                    why=str(error) or type(error).__name__,
                ) from error

        doing = f"waiting for {verb} on {machine}"
        return patiently(work, turn.stop, context.deadline, doing, seconds)

    def close(self) -> None:
        """End those that wait."""
        while (agent := self._waiting()) is not None:
            agent.close()

    def _ready(self, turn: _Turn) -> Agent:
        """Return an agent to which a question was announced; one that went away while nobody asked is replaced.

        Raises:
            Ended: A new one ends at once.
            OSError: The connection breaks.
            EOFError: Likewise.
            OpsError: There is no connection.
        """
        while (agent := self._waiting()) is not None:
            try:
                turn.begin(agent)
            except (Ended, OSError, EOFError):
                agent.close()
                if turn.stopped:
                    raise
                self._lost()
            else:
                return agent
        agent = Agent(self._start())
        try:
            turn.begin(agent)
        except BaseException:
            agent.close()
            raise
        return agent

    def _back(self, agent: Agent) -> None:
        """Take an agent back that has answered."""
        with self._lock:
            self._idle.append(agent)

    def _waiting(self) -> Agent | None:
        with self._lock:
            return self._idle.pop() if self._idle else None


def _not_there(machine: str, verb: str, ended: Ended) -> OpsError:
    """Return why there is no agent."""
    if "sudo:" in ended.words:
        return NotPermitted(
            f"{machine}: the user may not become root without a password",
            why=ended.words.splitlines()[-1],
            hint="log in as root, or allow it on the host: NOPASSWD in /etc/sudoers.d",
        )
    if ended.code == _NO_PYTHON:
        return DependencyError(
            f"{machine} has no python3",
            why=ended.words,
            hint="on the host: apt-get install python3",
        )
    why = ended.words or runner.outcome(ended.code)
    return StepFailed(f"{machine}: {verb} gave no answer", why=why)
