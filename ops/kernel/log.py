"""One log file for each run, and lines of one form: `[2025-06-17 10:30:00] [INFO] [task] Message`.

Source of the form and of the default levels: seed 002, "Logging Architecture". Everything passes the redactor.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

from ops.kernel import files, redact
from ops.kernel.events import Event

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
KIND_LEVELS: Final = {"verification": "DEBUG", "security": "WARNING"}
"""Default level by kind of task; every other kind: INFO."""

EVENT_LEVELS: Final = {
    "step.failed": "ERROR",
    "run.failed": "ERROR",
    "step.undo_failed": "ERROR",
    "step.undoing": "WARNING",
    "progress": "DEBUG",
    "step.acted": "DEBUG",
}


def line(level: str, task: str, message: str, form: str = "text") -> str:
    """Format one line, as text or as a JSON object."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    if form == "json":
        return json.dumps({"time": now, "level": level, "task": task, "message": message})
    return f"[{now}] [{level}] [{task}] {message}"


def describe(event: Event) -> str:
    """Return an event as one message."""
    kind = event.kind.rpartition(".")[2]
    details = [str(event.data[key]) for key in ("note", "error") if event.data.get(key)]
    words = (
        [event.message, *details]
        if event.kind in ("note", "progress")
        else [f"{kind}: {event.message}", *details]
    )
    return " - ".join(word for word in words if word)


class RunLog:
    """The file of one run, mode 0600.

    Args:
        path: Its place; the folder is made with mode 0700.
        task: Name in each line.
        level: Lowest level that is written; output of commands always is.
    """

    def __init__(self, path: Path, task: str, level: str) -> None:
        files.make_folder(path.parent)
        with files.translated(f"cannot write {path}"):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.path = path
        self._task = task
        self._level = LEVELS[level]
        self._lock = threading.Lock()
        self._stream = os.fdopen(handle, "ab", buffering=0)

    def offset(self) -> int:
        """Return the file's length in bytes: where the next step's output begins."""
        return self._stream.seek(0, os.SEEK_END)

    def output(self, data: bytes) -> None:
        """Add raw output of a command, whole lines."""
        self._append(redact.CENTRAL.text(data.decode(errors="replace")))

    def observe(self, event: Event) -> None:
        """Write an event as one line."""
        level = EVENT_LEVELS.get(event.kind, "INFO")
        if LEVELS[level] >= self._level:
            self._append(line(level, self._task, redact.CENTRAL.text(describe(event))) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _append(self, text: str) -> None:
        # A full disk must not stop a run, least of all its undo: the journal says the same.
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(text.encode())


def console(stream: TextIO, task: str, level: str, form: str) -> Callable[[Event], None]:
    """Return an observer that writes lines to a stream: for pipes, CI and `--format json`.

    Of a failure the first line is enough there: the error at the end has all of them, as the run's log has.
    """

    def observe(event: Event) -> None:
        this = EVENT_LEVELS.get(event.kind, "INFO")
        if LEVELS[this] >= LEVELS[level]:
            told = redact.CENTRAL.text(describe(event))
            if this == "ERROR" and form == "text":
                told = told.partition("\n")[0]
            text = line(this, task, told, form)
            # Written at once: steps that run at the same time would share a line.
            print(f"{text}\n", end="", file=stream, flush=True)

    return observe
