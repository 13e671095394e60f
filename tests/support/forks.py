"""Runs commands as forks of one process that has everything imported.

A run is a process of its own, as `python -m MODULE` in a new interpreter would be, with its own folder, variables and
output; it only lacks the second of imports that thousands of runs would spend. `start` is the client, `python -m
tests.support.forks` the server. Each run has a keeper between it and the server, which waits for it:

    test ── control ── server ─── keeper ─── run
      └──────── link ───────────────┘

Coverage begins in the run itself, as it does in a new interpreter, so a server knows nothing of it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
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
from typing import Any, Final, TextIO, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PRELOADED: Final = ("ops.program", "tests.faults.run")
"""Modules whose function `main` may be run; any other command is a new process."""
LATE: Final = (
    *("alembic.command", "boto3", "encodings.idna", "httpx", "rich._emoji_codes", "rich.progress"),
    *("sqlalchemy.dialects.sqlite", "supervisor.xmlrpc"),
    *("ops.backup.engines.postgres", "ops.backup.storage.folder", "ops.database.schema"),
    *("ops.deploy.check", "ops.deploy.compose.pipeline", "ops.deploy.pipeline"),
    *("ops.hosts.ssh.link", "ops.kernel.executor", "ops.kernel.recovery"),
    *("ops.kernel.store.migrate", "ops.services.status", "ops.setup.check"),
)
"""What commands import only when they need it, and most of them do."""
_AT_START = ("LANG", "LC_", "LD_", "PYTHON", "TZ")
"""Variables that an interpreter reads when it starts begin with these."""
_HANDLES: Final = 3
"""What the server is sent for a run: its link, standard output, standard error."""
_SIZE: Final = 16
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
        with self._lock:
            if self.returncode is None:
                self._link.settimeout(timeout)
                try:
                    self.returncode = self._read()
                except (BlockingIOError, TimeoutError):
                    return None
                self._link.settimeout(None)
                self._link.shutdown(socket.SHUT_WR)  # the keeper may let the number go ...
                self._link.recv(1)  # ... and has
                self._link.close()
            return self.returncode

    def _read(self) -> int:
        said = self._link.recv(_SIZE)
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
                [sys.executable, "-m", "tests.support.forks", str(theirs.fileno())],
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


def preload() -> None:
    """Import what commands need; nothing else may happen, because each of them would begin with it."""
    import coverage  # noqa: F401

    from ops import steps_catalog, tasks

    for name in (*PRELOADED, *LATE):
        importlib.import_module(name)
    tasks.collection()
    steps_catalog.load()


def serve(control: socket.socket) -> None:
    """Fork a keeper for each run until nobody can ask any more; return in the runs only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are waited for by nobody
    while True:
        said, handles, _, _ = socket.recv_fds(control, 1, _HANDLES)
        if not said:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _keep(*handles)
            return
        for each in handles:
            os.close(each)


def _keep(handle: int, outputs: int, errors: int) -> None:
    """Start a run and wait for its end; return in the run only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    link = socket.socket(fileno=handle)
    with link.makefile("rb") as lines:
        asked = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        link.close()
        _become(asked, outputs, errors)
        return
    os.close(outputs)
    os.close(errors)
    with contextlib.suppress(OSError):  # the test is gone, the run goes on
        link.sendall(b"%*d" % (_SIZE, pid))
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    code = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
    with contextlib.suppress(OSError):
        link.sendall(b"%*d" % (_SIZE, code))
        link.recv(1)  # until the test knows, so that it never sends a signal to another process
    os.waitpid(pid, 0)
    os._exit(0)


def _become(asked: Any, outputs: int, errors: int) -> None:
    """Make this process what a new interpreter would be."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((nothing, outputs, errors)):
        os.dup2(handle, number)
        os.close(handle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    module = sys.modules[asked["module"]]
    sys.path[0] = os.getcwd()
    sys.argv[:] = [str(module.__file__), *asked["words"]]
    if os.environ.get("COVERAGE_PROCESS_CONFIG"):
        import coverage

        coverage.process_startup(slug="fork")
    module.main()
    sys.exit()


if __name__ == "__main__":
    preload()
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
