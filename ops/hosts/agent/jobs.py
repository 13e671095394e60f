"""Work that outlives the connection: a verb in a process of its own, asked about by long polls.

A job holds the lock of its folder for as long as it lives, so the system itself says whether it does. Its arguments
reach it in memory: they may hold secrets, which do not stay behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.hosts.agent import base
from ops.hosts.agent.errors import Refused

GRACE = 5.0
"""Seconds between TERM and KILL."""
KEPT = 7 * 24 * 3600.0
"""Seconds that the folder of an ended job stays."""
_TICK = 0.02
_CHUNK = 64 * 1024


def start(arguments: dict[str, Any]) -> dict[str, Any]:
    """Start a job, unless one with this id was started already; then wait for it as `wait` does.

    Args:
        arguments: `id`, `verb`, `arguments` (of the verb), `limit` (seconds that it may take), and those of `wait`.
    """
    base.claim(arguments)
    folder = _folder(arguments)
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, exist_ok=True)
    with _held(folder) as handle:
        # Without a process id the one that asked first was cut off before anything began.
        if handle is not None and not (folder / "job.json").exists():
            _prune(folder.parent)
            _spawn(arguments, folder, handle)
    return wait(arguments)


def wait(arguments: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job, passing its output on to standard error as it comes.

    Args:
        arguments: `id`, `seconds` (at most), `offset` (bytes of the output that the caller has).

    Returns:
        `state`: running, done or lost (its process is gone without a result); `offset`; `answer` of a job that is
        done, in the form that a verb called directly answers.
    """
    folder = _folder(arguments)
    end = time.monotonic() + float(arguments.get("seconds", 0))
    offset = int(arguments.get("offset", 0))
    while True:
        running = _is_running(folder)
        offset = _pass_on(folder / "output.log", offset)
        if not running:
            return {**_ended(folder), "offset": offset}
        if time.monotonic() >= end:
            return {"state": "running", "offset": offset}
        time.sleep(_TICK)


def cancel(arguments: dict[str, Any]) -> dict[str, Any]:
    """End a job with everything that it started: TERM, then KILL; one that has ended stays as it is."""
    _end(_folder(arguments))
    return {}


def _be(arguments: dict[str, Any]) -> None:
    from ops.hosts.agent.__main__ import answer

    folder = _folder(arguments)
    inner = arguments["arguments"]
    about = {"pid": os.getpid(), "verb": arguments["verb"], "run": _run_of(inner)}
    base.write(folder / "job.json", json.dumps(about))
    told: dict[str, Any] = {}
    try:
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, _stop)
        signal.setitimer(signal.ITIMER_REAL, max(float(arguments["limit"]), 0.001))
        told = answer(arguments["verb"], inner)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except _Stopped as stopped:
        told = told or Refused("failed", f"{arguments['verb']} was stopped", str(stopped)).answer()
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    base.write(folder / "result.json", json.dumps(told))
    if not told["ok"]:
        os.killpg(0, signal.SIGTERM)  # what a stopped verb left running


def end_others(folder: Path, run: str) -> None:
    """End the running jobs of every other holder of the lease.

    Raises:
        Refused: One does not end.
    """
    for job in (folder / "jobs").glob("*/job.json"):
        if _read(job).get("run") not in ("", None, run):
            _end(job.parent)


def _spawn(arguments: dict[str, Any], folder: Path, handle: int) -> None:
    """Become two: the new process is the job, with nothing of ours open but the lock and this agent's archive."""
    archive = int(Path(sys.path[0]).name)  # an open file, /proc/self/fd/NUMBER
    if os.fork():
        return
    try:
        os.setsid()
        os.chdir("/")
        silence = os.open(os.devnull, os.O_RDWR)
        output = os.open(folder / "output.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for number, target in enumerate((silence, silence, output)):
            os.dup2(target, number)
        for each in map(int, os.listdir("/proc/self/fd")):
            if each > 2 and each not in (archive, handle):
                with contextlib.suppress(OSError):
                    os.close(each)
        _be(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


class _Stopped(BaseException):
    """The job is to end now; no verb can take this for an error of its own."""


def _stop(number: int, _: object) -> None:
    raise _Stopped("its time limit is used up" if number == signal.SIGALRM else "it was cancelled")


def _end(folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + GRACE
        sent = False
        while _is_running(folder) and time.monotonic() < end:
            # Its process id is valid while it holds the lock; a job that has just begun may not have told it yet.
            pid = _read(folder / "job.json").get("pid")
            if pid and not sent:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)
                sent = True
            time.sleep(_TICK)
    if _is_running(folder):
        raise Refused(
            "busy", f"job {folder.name} does not end", "it was sent KILL", "look at the host"
        )


def _ended(folder: Path) -> dict[str, Any]:
    told = _read(folder / "result.json")
    return {"state": "done", "answer": told} if told else {"state": "lost"}


def _is_running(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), _open_lock(folder, os.O_RDONLY) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[int | None]:
    """Give the lock of a job's folder, None when the job runs."""
    with _open_lock(folder, os.O_RDWR | os.O_CREAT) as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if _is_running(folder):
                    yield None
                    return
                continue  # somebody only looked
            yield handle
            return


@contextlib.contextmanager
def _open_lock(folder: Path, flags: int) -> Iterator[int]:
    handle = os.open(folder / "lock", flags, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _pass_on(path: Path, offset: int) -> int:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(offset)
        while data := file.read(_CHUNK):
            sys.stderr.buffer.write(data)
            offset += len(data)
        sys.stderr.buffer.flush()
    return offset


def _prune(jobs: Path) -> None:
    for folder in jobs.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > KEPT and not _is_running(folder):
                shutil.rmtree(folder)


def _folder(arguments: dict[str, Any]) -> Path:
    name = str(arguments.get("id", ""))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise Refused("config", f"{name!r} is no id of a job")
    return base.of(arguments) / "jobs" / name


def _run_of(arguments: dict[str, Any]) -> str:
    return str((arguments.get("lease") or {}).get("run", ""))


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found
