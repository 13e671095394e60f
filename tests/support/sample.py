"""Tasks over the steps of `tests.support.runs`, and how a test runs them in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from invoke.collection import Collection

from ops.hosts import runner
from ops.kernel import files, recovery
from ops.kernel.context import Context
from ops.kernel.invocation import Invocation
from ops.kernel.journal import Journal, Run
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import step
from ops.kernel.store import open_state
from ops.kernel.task import ADMIN, WRITE, task
from tests.support import forks, runs

ROOT = Path(__file__).parents[2]
LONG = 60
"""Seconds that `linger` would take: a test never waits for them."""


@step(title="Linger", limit=2 * LONG, interruptible=True)
def linger(context: Context) -> None:
    """Run a long command, as a build does."""
    runner.run(context, ["sleep", str(LONG)])


@step(title="Write {name} slowly", limit=2 * LONG)
def ponder(context: Context, name: str, seconds: float) -> None:
    """Run a command that must not be interrupted, then write a file."""
    runner.run(context, ["sleep", str(seconds)])
    files.write(context.settings.folder / name, "slow")


def working(context: Context, middle: str) -> Plan:
    """Plan a file, something in the middle, another file."""
    steps = {
        "linger": linger.step(),
        "ponder": ponder.step(name="slow", seconds=1),
        "fail": runs.fail.step(reason="rain"),
        "breaking": runs.change.step(compatible=False),
        "stuck": runs.stuck.step(),
    }
    named = [steps[name] for name in middle.split(",")]
    plan = (
        runs.write.step("1", name="one", text="a"),
        *named,
        runs.write.step("2", name="two", text="b"),
    )
    return Plan("work", context.settings.name, "files", plan)


@task(level=WRITE, kind="deploy", help={"middle": "What stands between the two files."})
def work(call: Invocation, middle: str) -> Report:
    """Write a file, do something, write another file."""
    return call.operate(working, lock=runs.lock_of, middle=middle)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run."})
def resume(call: Invocation, run_id: str) -> Report:
    """Finish a run whose process is gone."""
    return recovery.resume(call, run_id, runs.lock_of)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run."})
def undo(call: Invocation, run_id: str) -> Report:
    """Take back what a run started whose process is gone."""
    return recovery.undo(call, run_id, runs.lock_of)


@task(level=ADMIN, kind="deploy")
def take_lock(call: Invocation) -> Report:
    """Take the lock away from whoever holds it."""
    runs.lock_of(call.context()).break_()
    return Report("taken")


def collection() -> Collection:
    """Return all tasks of the sample."""
    return Collection(runs.sample, work, resume, undo, take_lock)


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        code: Exit code; negative is the signal that ended it.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str


class Sample:
    """A project whose tasks run in processes of their own.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = runs.project(folder)

    def start(self, *arguments: str, fault: str = "", **variables: str) -> subprocess.Popen[str]:
        """Start a task, with harm if any; see `tests.faults.run`."""
        given = {"FAULT": fault, "FAULT_TASKS": __name__, "PYTHONPATH": str(ROOT), **variables}
        argv = [sys.executable, "-m", "tests.faults.run", *arguments]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env={**os.environ, **given},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, fault: str = "", **variables: str) -> Ended:
        """Run a task to its end."""
        return ended(self.start(*arguments, fault=fault, **variables))

    def last(self) -> tuple[Run, dict[str, str]]:
        """Return the newest run and the state of each of its steps."""
        state = open_state(runs.settings(self.folder), create=False)
        assert state is not None
        with state:
            journal = Journal(state)
            run = journal.recent(1)[0]
            return run, {each.step_id: each.state for each in journal.steps(run.id)}

    def files(self) -> list[str]:
        """Return the names of the files that steps wrote."""
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if path.is_file() and path.name != "ops.toml"
        )


def ended(process: forks.Process, seconds: float = 40) -> Ended:
    """Wait for the end of a process; one that hangs is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGCONT)
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args!r} did not end:\n{out}\n{err}") from None
    return Ended(process.wait(), out, err)
