"""Runs commands as forks of one process that has everything imported.

A run is a process of its own, as `python -m MODULE` in a new interpreter would be, with its own folder, variables and
output; it only lacks the second of imports that thousands of runs would spend. This is the client of
`tests.support.forkserver`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PRELOADED: Final = ("ops.program", "tests.faults.run")
"""Modules whose function `main` may be run; any other command is a new process."""
_AT_START = ("LANG", "LC_", "LD_", "PYTHON", "TZ")
"""Variables that an interpreter reads when it starts begin with these."""
HANDLES: Final = 3
"""What the server is sent for a run: its link, standard output, standard error."""
SIZE: Final = 16
"""Bytes of a number that the keeper sends: the process, then the exit code."""
_starting = threading.Lock()


class Running:
    """A run, as `subprocess.Popen` with pipes has it; its number is its own until it was waited for.

    Args:
        args: The command.
        link: To its keeper.
        stdout: Its standard output.
        stderr: Its standard error.
    """

    def __init__(
        self, args: Sequence[str], link: socket.socket, stdout: TextIO, stderr: TextIO
    ) -> None:
        self.args = args
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self._link = link
        self._lock = threading.Lock()
        self._readers: list[_Reader] = []
        self.pid = 0
        self.pid = self._read()

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; negative is the signal that ended it."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both outputs to their ends and wait; may be called again when the time was too short."""
        end = None if timeout is None else time.monotonic() + timeout
        self._readers = self._readers or [_Reader(self.stdout), _Reader(self.stderr)]
        for each in self._readers:
            each.join(None if end is None else max(0, end - time.monotonic()))
            if each.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        self.stdout.close()
        self.stderr.close()
        out, err = (each.text() for each in self._readers)
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal; to nobody when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # another thread waited for it just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close its outputs and wait for its end."""
        self.stdout.close()
        self.stderr.close()
        self.wait()

    def _look(self, timeout: float | None) -> int | None:
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            return None  # another thread waits for it
        try:
            if self.returncode is None:
                self._link.settimeout(timeout)
                self.returncode = self._read()
                self._link.settimeout(None)
                self._link.shutdown(socket.SHUT_WR)  # the keeper may let the number go ...
                self._link.recv(1)  # ... and has
                self._link.close()
        except (BlockingIOError, TimeoutError):
            return None
        finally:
            self._lock.release()
        return self.returncode

    def _read(self) -> int:
        said = self._link.recv(SIZE)
        if not said:
            raise EOFError(f"nobody waits for process {self.pid}")
        return int(said)


class _Reader(threading.Thread):
    """Reads an output to its end."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._read = ""
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._read = "" if self._stream.closed else self._stream.read()
        except Exception as error:
            self._error = error

    def text(self) -> str:
        """Return what was read."""
        if self._error:
            raise self._error
        return self._read


Process: TypeAlias = subprocess.Popen[str] | Running


def start(argv: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Process:
    """Start a command and do not wait for it; `python -m MODULE` of a preloaded module becomes a fork.

    Args:
        argv: The command.
        folder: Its working folder.
        variables: All of its variables.
    """
    if [*argv[:2]] == [sys.executable, "-m"] and argv[2] in PRELOADED:
        read = {name: text for name, text in variables.items() if name.startswith(_AT_START)}
        with _starting:
            server = _server(frozenset(read.items()))
        return server.start(argv, folder, variables)
    return subprocess.Popen(
        argv,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class _Server:
    """The server; it ends with this process.

    Args:
        variables: Its own.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forkserver", str(theirs.fileno())],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as the runs have it: the streams are made now
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End it; what runs goes on."""
        self._control.close()
        with self._process:  # waits for it and closes its outputs
            pass

    def start(self, argv: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Running:
        asked = {"module": argv[2], "words": argv[3:], "folder": str(folder)}
        link, keepers = socket.socketpair()
        (out, outputs), (err, errors) = os.pipe(), os.pipe()
        try:
            socket.send_fds(self._control, [b"+"], [keepers.fileno(), outputs, errors])
        finally:
            keepers.close()
            os.close(outputs)
            os.close(errors)
        link.sendall(json.dumps({**asked, "variables": dict(variables)}).encode() + b"\n")
        try:
            return Running(argv, link, open(out), open(err))
        except EOFError:
            _, error = self._process.communicate(timeout=10)
            raise AssertionError(f"the server of forks has ended: {error}") from None


@functools.cache
def _server(read: frozenset[tuple[str, str]]) -> _Server:
    """Return the server for the variables that are read at the start."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    return _Server({**kept, **dict(read)})
