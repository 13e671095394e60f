"""Runs commands on this machine: the only place that starts processes.

A command is a list, never a shell's text. It gets its own process group, so that it ends as a whole, and a
small environment of its own; secrets reach it by environment or standard input, never by its arguments.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess  # nosec B404
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from ops.hosts.streams import Streams
from ops.kernel import guard, processes
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import (
    ConfigurationError,
    DependencyError,
    NotPermitted,
    OpsError,
    StepFailed,
)
from ops.kernel.settings import environ

if TYPE_CHECKING:
    from ops.hosts.account import Account

GRACE = 5.0
"""Seconds between TERM and KILL."""
_TICK = 0.2
_POLL = 0.1
_DRAIN = 1.0
_UMASK = 0o022
_KEPT_LINES = 15
_NETWORK = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}


@dataclass(frozen=True)
class Result:
    """What a command answered.

    Args:
        code: Exit code; negative is the signal that ended it.
        stdout: Standard output, at most the last 8 MiB.
        stderr: Standard error, at most the last 8 MiB.
    """

    code: int
    stdout: str
    stderr: str


def run(
    context: Context,
    argv: Sequence[str],
    *,
    reads: bool = False,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    input: bytes | None = None,
    stdout_to: BinaryIO | None = None,
    check: bool = True,
) -> Result:
    """Run a command to its end within the context's time; its output goes to the run's log line by line.

    Args:
        context: Gives the deadline, the log and the journal of children.
        argv: Program and arguments, without secrets.
        reads: It changes nothing, so it may run in a dry run.
        cwd: Working folder; that of this process when missing, / for another user.
        environment: Variables beside PATH, HOME, LANG and TZ.
        account: User to run as, only possible as root.
        input: Standard input; nothing when missing.
        stdout_to: File that takes standard output instead of the log and the result.
        check: Whether another exit code than 0 is an error.

    Raises:
        DependencyError: The program is missing.
        ConfigurationError: The working folder is missing.
        NotPermitted: The system refuses to start it.
        StepFailed: Its exit code is not 0.
        TimeLimitReached: It was ended because the context's time is used up.
    """
    command = shlex.join(argv)
    if not reads:
        guard.effect(f"run {command}")
    context.deadline.check(f"starting {command}")
    process = start(
        argv,
        cwd=cwd,
        env=base_environment(account) | dict(environment or {}),
        account=account,
        stdin=subprocess.PIPE if input else subprocess.DEVNULL,
        stdout=stdout_to or subprocess.PIPE,
    )
    streams = Streams(process.stdout, process.stderr, process.stdin, input or b"", context.output)
    try:
        if not reads:
            context.child(process.pid, processes.started(process.pid))
        _follow(process, streams, context.deadline, command)
    except BaseException:
        end(process, streams.pump)
        raise
    finally:
        streams.close()
    result = Result(process.returncode, streams.stdout, streams.stderr)
    if reads and streams.overflown:
        raise OpsError(f"printed more than can be read here: {command}")
    if check and result.code != 0:
        raise StepFailed(f"{outcome(result.code)}: {command}", why=_last_lines(result))
    return result


def foreground(
    argv: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Run a developer's command in this terminal with all of its variables; return its exit code.

    Args:
        argv: Program and arguments.
        cwd: Working folder.
        environment: Variables beside those of this process.

    Raises:
        DependencyError: The program is missing.
    """
    guard.effect(f"run {shlex.join(argv)}")
    with _ctrl_c_left_to_child(), _translated(argv, cwd):
        code = subprocess.run(  # nosec B603
            argv, cwd=cwd, env={**environ.variables(), **(environment or {})}, check=False
        ).returncode
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _ctrl_c_left_to_child() -> Iterator[None]:
    """Let Ctrl-C, which reaches the child as well, end the child only: this process waits for how it ends."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # of a shell's &: the child ignores it too
        yield
        return
    # A function and not SIG_IGN, which the child would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def probe(
    argv: Sequence[str],
    *,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
) -> str:
    """Ask a program something harmless, such as its version; empty when it does not answer."""
    try:
        process = start(
            argv,
            cwd=None,
            env=base_environment(account) | dict(environment or {}),
            account=account,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    except OpsError:
        return ""
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return ""
    return output.decode(errors="replace").strip() if process.returncode == 0 else ""


def base_environment(account: Account | None = None) -> dict[str, str]:
    """Return what every child gets: PATH, HOME, LANG and TZ, the last two where this process has them."""
    variables = {name: environ.get(name) for name in ("PATH", "HOME", "LANG", "TZ")}
    if account is not None:
        variables["HOME"] = str(account.folder)
    return {name: value for name, value in variables.items() if value}


def network_environment() -> dict[str, str]:
    """Return what pip and npm need beside the base to reach their registries: mirrors, proxies, certificates."""
    return {
        name: value
        for name, value in environ.variables().items()
        if name in _NETWORK
        or name.startswith(("PIP_", "UV_"))
        or name.lower().startswith("npm_config_")
        or name.lower() in {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    }


def start(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    account: Account | None,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own; for `run`, and for `pipes`, which move data themselves."""
    with _translated(argv, cwd):
        return subprocess.Popen(  # nosec B603
            argv,
            # The other user may not be allowed into root's working folder.
            cwd="/" if cwd is None and account else cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=_UMASK,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


@contextlib.contextmanager
def _translated(argv: Sequence[str], cwd: Path | None) -> Iterator[None]:
    if cwd is not None and not cwd.is_dir():
        raise ConfigurationError(f"cannot run {argv[0]}", why=f"no such folder: {cwd}")
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        # A folder of PATH that may not be entered also answers "permission denied".
        if isinstance(error, PermissionError) and shutil.which(argv[0], mode=os.F_OK):
            raise NotPermitted(f"may not run {argv[0]}", why=str(error)) from error
        raise DependencyError(
            f"{argv[0]} is not installed",
            why=f"needed to run: {shlex.join(argv)}",
            hint="inv setup.check names the command that installs it",
        ) from error
    except OSError as error:
        raise OpsError(f"cannot run {argv[0]}", why=str(error)) from error


def _follow(
    process: subprocess.Popen[bytes], streams: Streams, deadline: Deadline, command: str
) -> None:
    """Pass output on until the process has ended, or until the time is used up."""
    while process.poll() is None:
        deadline.check(f"running {command}")
        pause = min(_TICK, deadline.remaining())
        if streams.open:
            streams.pump(pause)
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(pause)
    # A child that went to the background may keep the pipes open; its output is not ours to wait for.
    streams.drain(_DRAIN)


def end(process: subprocess.Popen[bytes], pause: Callable[[float], object] = time.sleep) -> None:
    """End the whole process group: TERM, then KILL; also in a dry run, it is our own child.

    Args:
        process: The first of the group, of `start`.
        pause: Lets so many seconds go by.
    """
    started = processes.started(process.pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            pause(_POLL)
            process.poll()
            if not processes.members(process.pid, started):
                process.wait()
                return


def outcome(code: int) -> str:
    """Return how a command ended, for a message."""
    return f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"


def _last_lines(result: Result) -> str:
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return "\n".join(lines[-_KEPT_LINES:])
