"""Commands whose output or input is data: a dump that is read, an archive that is fed, of any size.

`runner.run` is for commands that end and say something; here the caller moves the bytes, in constant memory.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess  # nosec B404
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from ops.hosts import runner
from ops.kernel import files, guard, processes
from ops.kernel.context import Context
from ops.kernel.errors import StepFailed

if TYPE_CHECKING:
    from ops.hosts.account import Account

CHUNK = 256 * 1024
_TICK = 0.2
_KEPT = 8 * 1024


class _Pipe:
    """Our end of a pipe to a running command.

    Args:
        context: Gives the deadline of each wait.
        stream: The pipe.
        event: What is waited for.
        command: Its name in messages.
    """

    def __init__(
        self, context: Context, stream: IO[bytes] | None, event: int, command: str
    ) -> None:
        assert stream is not None
        self._context = context
        self._handle = stream.fileno()
        self._command = command
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._handle, event)

    def _ready(self, doing: str) -> bool:
        """Wait a moment; say whether the pipe is ready."""
        ready = bool(self._selector.select(_TICK))
        if not ready:
            self._context.deadline.check(f"{doing} {self._command}")
        return ready


class Output(_Pipe):
    """Standard output of a running command."""

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            TimeLimitReached: The context's time is used up.
        """
        while not self._ready("reading from"):
            pass
        return os.read(self._handle, size)


class Input(_Pipe):
    """Standard input of a running command."""

    def write(self, data: bytes) -> int:
        """Write all of `data`.

        Raises:
            BrokenPipeError: The command has ended or takes no more.
            TimeLimitReached: The context's time is used up.
        """
        left = memoryview(data)
        while left:
            if self._ready("writing to"):
                left = left[os.write(self._handle, left) :]
            self._context.deadline.check(f"writing to {self._command}")
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back here."""


@contextlib.contextmanager
def reading(
    context: Context,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    reads: bool = True,
) -> Iterator[Output]:
    """Start a command for a block that reads its output to the end.

    Args:
        context: Gives the deadline, the log and the journal of children.
        argv: Program and arguments, without secrets.
        environment: Variables beside PATH, HOME, LANG and TZ.
        account: User to run as, only possible as root.
        reads: It changes nothing.

    Raises:
        DependencyError: The program is missing.
        StepFailed: It ended with another code than 0; its last words are the reason.
    """
    with _running(context, argv, environment, account, reads, stdin=False) as (process, command):
        assert process.stdout is not None
        with process.stdout:
            yield Output(context, process.stdout, selectors.EVENT_READ, command)


@contextlib.contextmanager
def writing(
    context: Context,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    reads: bool = False,
) -> Iterator[Input]:
    """Start a command for a block that feeds its input; see `reading`.

    Its standard output goes to the log with its errors. When the command refuses the input, its own error is raised
    in place of the broken pipe.
    """
    with _running(context, argv, environment, account, reads, stdin=True) as (process, command):
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            try:
                os.set_blocking(process.stdin.fileno(), False)
                yield Input(context, process.stdin, selectors.EVENT_WRITE, command)
            finally:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()


@contextlib.contextmanager
def _running(
    context: Context,
    argv: Sequence[str],
    environment: Mapping[str, str] | None,
    account: Account | None,
    reads: bool,
    *,
    stdin: bool,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    command = shlex.join(argv)
    if not reads:
        guard.effect(f"run {command}")
    context.deadline.check(f"starting {command}")
    with files.unnamed() as words:
        process = runner.start(
            argv,
            cwd=None,
            env=runner.base_environment(account) | dict(environment or {}),
            account=account,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=words if stdin else subprocess.PIPE,
            stderr=words,
        )
        context.child(process.pid, processes.started(process.pid))
        try:
            yield process, argv[0].rpartition("/")[2]
            _wait(context, process, command)
        except BaseException:
            _end(process)
            raise
        finally:
            said = _last(words)
            for line in said.splitlines():
                context.output(line.encode() + b"\n")
    if process.returncode != 0:
        raise StepFailed(f"{runner.outcome(process.returncode)}: {command}", why=said.strip())


def _wait(context: Context, process: subprocess.Popen[bytes], command: str) -> None:
    while process.poll() is None:
        context.deadline.check(f"waiting for the end of {command}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TICK)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: TERM, then KILL; also in a dry run, it is our own child."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(runner.GRACE)


def _last(words: IO[bytes]) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - _KEPT))
    return words.read().decode(errors="replace")
