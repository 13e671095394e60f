"""Runs of the journal as reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.kernel.errors import ConfigurationError
from ops.kernel.journal import Journal, Run, StepRecord
from ops.kernel.report import Report, Table
from ops.kernel.store import State

LAST_LINES = 20
"""How much of a failed step's output is shown."""
_RESUMABLE = ("interrupted", "undo_failed")


def recent(state: State | None, limit: str, environment: str, before: str) -> Report:
    """Return the newest runs.

    Args:
        state: None when nothing was ever recorded.
        limit: How many, 1 to 1000.
        environment: Only of this one, empty for all.
        before: Only older than this run, empty for the newest.
    """
    count = page(limit)
    found = Journal(state).recent(count, environment or None, before or None) if state else []
    columns = ("run", "started", "task", "environment", "state", "took", "by")
    rows = [
        (run.id, moment(run.started), run.task, run.environment, _state(run), _took(run), run.actor)
        for run in found
    ]
    more = (f"inv runs.list --before {found[-1].id}",) if len(found) == count else ()
    return Report(
        "" if found else "no runs are recorded",
        tables=(Table(columns, rows),) if found else (),
        hints=more,
        data={"runs": [_run_data(run) for run in found]},
    )


def show(state: State | None, run_id: str, logs: Path, *, output: bool) -> Report:
    """Return one run with its steps.

    Args:
        state: None when nothing was ever recorded.
        run_id: Which.
        logs: Folder of the runs' logs.
        output: Return the whole log as text in place of the tables.

    Raises:
        ConfigurationError: There is no such run, or its log is on another machine.
    """
    if state is None:
        raise ConfigurationError("there is no run yet", hint="inv runs.list")
    journal = Journal(state)
    run = journal.get(run_id)
    log = logs / f"{run.id}.log"
    if output:
        if not log.is_file():
            raise ConfigurationError(
                f"the log of run {run.id} is not here: {log}", why=f"it ran on {run.host}"
            )
        return Report("", text=log.read_text(errors="replace").rstrip("\n"), data=_run_data(run))
    steps = journal.steps(run.id)
    data = _run_data(run) | {"plan": run.plan, "steps": [_step_data(step) for step in steps]}
    return Report(
        f"{run.operation} {run.environment}: {_state(run)}",
        tables=(_steps_table(steps), *_outputs(steps, log)),
        facts=_facts(run, log),
        hints=_hints(run),
        data={"run": data | {"log": str(log)}},
    )


def page(limit: str) -> int:
    """Read how many records a person wants to see.

    Raises:
        ConfigurationError: Not a number from 1 to 1000.
    """
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= 1000):
        raise ConfigurationError(f"--limit {limit!r} is not from 1 to 1000", hint="--limit 20")
    return int(limit)


def moment(seconds: float) -> str:
    """Return a time of the journal for a person, in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def duration(seconds: float) -> str:
    """Return a duration for a person."""
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _state(run: Run) -> str:
    return "lost" if run.lost else run.state


def _took(record: Run | StepRecord) -> str:
    if record.started is None or record.finished is None:
        return ""
    return duration(record.finished - record.started)


def _facts(run: Run, log: Path) -> dict[str, str]:
    facts = {
        "run": run.id,
        "target": run.target,
        "by": run.actor,
        "process": f"{run.pid} on {run.host}",
        "started": moment(run.started),
        "took": _took(run),
        "exit code": "" if run.exit_code is None else str(run.exit_code),
        "error": run.error,
        "log": str(log) if log.is_file() else "",
        "evidence": str(log.with_suffix("")) if log.with_suffix("").is_dir() else "",
    }
    return {name: value for name, value in facts.items() if value}


def _hints(run: Run) -> tuple[str, ...]:
    if run.lost or run.state in _RESUMABLE:
        where = f"{run.id} --env {run.environment}"
        return (f"inv runs.resume {where}", f"inv runs.undo {where}")
    return ()


def _steps_table(steps: Sequence[StepRecord]) -> Table:
    rows = [
        (step.step_id, step.state, _took(step), str(step.attempts or ""), step.error or step.note)
        for step in steps
    ]
    return Table(("step", "state", "took", "tries", "note"), rows)


def _outputs(steps: Sequence[StepRecord], log: Path) -> list[Table]:
    """Return the end of the output of each step that failed."""
    if not log.is_file():
        return []
    begins = sorted(step.log_offset for step in steps if step.log_offset is not None)
    found = []
    for step in steps:
        if step.state in ("failed", "undo_failed") and step.log_offset is not None:
            end = next((each for each in begins if each > step.log_offset), log.stat().st_size)
            with log.open("rb") as stream:
                stream.seek(step.log_offset)
                text = stream.read(max(0, end - step.log_offset)).decode(errors="replace")
            lines = [(line,) for line in text.splitlines()[-LAST_LINES:]]
            found.append(Table(("output",), lines, title=f"end of the output of {step.step_id}"))
    return found


def _run_data(run: Run) -> dict[str, Any]:
    data = asdict(run) | {"lost": run.lost}
    del data["plan"], data["silence"]
    return data


def _step_data(step: StepRecord) -> dict[str, Any]:
    data = asdict(step)
    del data["run_id"]
    return data
