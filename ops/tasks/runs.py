"""runs.list, runs.show, runs.resume, runs.undo: arguments only."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from ops.kernel.task import READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(
    level=READ,
    kind="verification",
    name="list",
    help={
        "limit": "How many runs (default: 20, at most 1000).",
        "before": "Only runs older than this one.",
    },
)
def list_runs(call: Invocation, limit: str = "20", before: str = "") -> Report:
    """List the runs of all environments, or of --env, newest first."""
    from ops.kernel import run_report

    with call.state() or nullcontext() as state:
        return run_report.recent(state, limit, call.options.env, before)


@task(
    level=READ,
    kind="verification",
    help={
        "run_id": "Which run, from runs.list.",
        "output": "Show all output of the run in place of its steps.",
    },
)
def show(call: Invocation, run_id: str, output: bool = False) -> Report:
    """Show a run with its steps, their durations, output and errors."""
    from ops.kernel import run_report

    logs = call.settings.ops_folder / "logs"
    with call.state() or nullcontext() as state:
        return run_report.show(state, run_id, logs, output=output)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run, from runs.list."})
def resume(call: Invocation, run_id: str) -> Report:
    """Finish a run whose process is gone: steps that are done stay done."""
    from ops import steps_catalog
    from ops.hosts import envlock
    from ops.kernel import recovery

    steps_catalog.load()
    return recovery.resume(call, run_id, envlock.of)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run, from runs.list."})
def undo(call: Invocation, run_id: str) -> Report:
    """Take back every step that a run started whose process is gone."""
    from ops import steps_catalog
    from ops.hosts import envlock
    from ops.kernel import recovery

    steps_catalog.load()
    return recovery.undo(call, run_id, envlock.of)
