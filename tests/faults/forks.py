"""Runs the test Program again and again from one process that has everything imported.

A run is a fork: a process of its own with its own folder, variables and output, killed and waited for like any other,
but without the second of imports that hundreds of runs would spend. One run at a time; `Forks` is the client,
`python -m tests.faults.forks` the server: a line of JSON in, the process id and then the exit code out.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops import steps_catalog, tasks
from tests.faults import run
from tests.support.project import ROOT, Ran, clean_variables

QUICK = 60.0
"""Seconds that one run may take."""
LATE = ("alembic.command", "sqlalchemy.dialects.sqlite", "ops.kernel.store.migrate")
"""What is imported only when it is needed."""


class Running:
    """A run that was started.

    Args:
        forks: The server that forked it.
        pid: Its process.
        outputs: Folder of its outputs.
    """

    def __init__(self, forks: Forks, pid: int, outputs: Path) -> None:
        self._forks = forks
        self.pid = pid
        self._outputs = outputs

    def wait(self, limit: float = QUICK) -> Ran:
        """Wait until it has ended; kill it when it takes too long."""
        late = threading.Timer(limit, self.kill)
        late.start()
        try:
            code = self._forks.read()["code"]
        finally:
            in_time = late.is_alive()
            late.cancel()
        out, err = ((self._outputs / each).read_text() for each in ("out", "err"))
        assert in_time, f"it did not end within {limit:g} s: {out}{err}"
        return Ran(code, out, err)

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Forks:
    """The server's client.

    Args:
        process: The server.
        outputs: Folder for the outputs of its runs.
    """

    def __init__(self, process: subprocess.Popen[str], outputs: Path) -> None:
        self._process = process
        self._outputs = outputs

    def start(self, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Running:
        """Start a run.

        Args:
            words: Arguments of the Program.
            folder: Its working folder.
            variables: All of its variables.
        """
        assert self._process.stdin is not None
        asked = {"words": words, "folder": str(folder), "variables": dict(variables)}
        self._process.stdin.write(json.dumps({**asked, "outputs": str(self._outputs)}) + "\n")
        self._process.stdin.flush()
        answer = self.read()
        while "pid" not in answer:  # the end of a run that a failed test did not wait for
            answer = self.read()
        return Running(self, answer["pid"], self._outputs)

    def read(self) -> Any:
        """Return the server's next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server of forks has ended"
        return json.loads(line)


@contextmanager
def serving() -> Iterator[Forks]:
    """Give a server."""
    with tempfile.TemporaryDirectory(prefix="invops-forks-") as name:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks"],
            cwd=ROOT,
            env=clean_variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield Forks(process, Path(name))
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def serve() -> None:
    """Answer until the input ends."""
    tasks.collection()
    steps_catalog.load()
    for name in LATE:
        importlib.import_module(name)
    while line := sys.stdin.readline():
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(asked)
            return
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _become(asked: Any) -> None:
    outputs = Path(asked["outputs"])
    for number, name, flags in (
        (0, "/dev/null", os.O_RDONLY),
        (1, str(outputs / "out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, str(outputs / "err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        handle = os.open(name, flags, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    sys.argv[1:] = asked["words"]
    run.main()


if __name__ == "__main__":
    serve()
