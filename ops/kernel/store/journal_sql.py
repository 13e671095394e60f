"""The statements of the journal, built once: SQLAlchemy then compiles each only once.

Names of values: `a_` is set, `b_` is compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from ops.kernel.records import STEP_CHANGES as ALLOWED
from ops.kernel.records import Run, StepRecord, StepState
from ops.kernel.tables import Now, runs, steps

_OWNED = sa.and_(
    runs.c.id == sa.bindparam("b_run"),
    runs.c.host == sa.bindparam("b_host"),
    runs.c.pid == sa.bindparam("b_pid"),
    runs.c.pid_started == sa.bindparam("b_pid_started"),
)
_RUNNING_HERE = sa.exists(
    sa.select(sa.literal_column("1")).where(_OWNED, runs.c.state == "running")
)
_STEP = sa.and_(steps.c.run_id == sa.bindparam("b_run"), steps.c.step_id == sa.bindparam("b_step"))

INSERT_RUN: Final = sa.insert(runs).values(
    {
        name: sa.bindparam(name)
        for name in (each.name for each in runs.c)
        if name not in ("finished", "exit_code")
    }
    | {"state": "running", "heartbeat": Now(), "started": Now(), "error": ""}
)
INSERT_STEP: Final = sa.insert(steps).values(
    {name: sa.bindparam(name) for name in ("run_id", "step_id", "position", "action", "arguments")}
    | {"state": "pending", "attempts": 0, "note": "", "error": ""}
)

_SET: Mapping[StepState, Mapping[str, Any]] = {
    "started": {
        "attempts": steps.c.attempts + 1,
        "started": Now(),
        "finished": None,
        "error": "",
        "log_offset": sa.bindparam("a_log_offset"),
    },
    "done": {"finished": Now(), "result": sa.bindparam("a_result", type_=sa.Text)},
    "skipped": {
        "finished": Now(),
        "note": sa.bindparam("a_note"),
        "result": sa.bindparam("a_result", type_=sa.Text),
        "error": "",
    },
    "failed": {"finished": Now(), "error": sa.bindparam("a_error")},
    "undoing": {"finished": None},
    "undone": {"finished": Now()},
    "undo_failed": {"finished": Now(), "error": sa.bindparam("a_error")},
}
STEP_CHANGES: Final[Mapping[StepState, sa.Update]] = {
    to: sa.update(steps)
    .where(_STEP, steps.c.state.in_(ALLOWED[to]), _RUNNING_HERE)
    .values(state=to, **values)
    for to, values in _SET.items()
}
CHILD: Final = (
    sa.update(steps)
    .where(_STEP, steps.c.state.in_(("started", "undoing")), _RUNNING_HERE)
    .values(process_group=sa.bindparam("a_group"), process_started=sa.bindparam("a_started"))
)
HEARTBEAT: Final = sa.update(runs).where(_OWNED, runs.c.state == "running").values(heartbeat=Now())
FINISH: Final = (
    sa.update(runs)
    .where(_OWNED, runs.c.state == "running")
    .values(
        state=sa.bindparam("a_state"),
        exit_code=sa.bindparam("a_code"),
        error=sa.bindparam("a_error"),
        finished=Now(),
    )
)
# The heartbeat is compared as well: an owner that woke up meanwhile keeps its run.
TAKE: Final = (
    sa.update(runs)
    .where(
        _OWNED,
        runs.c.state == sa.bindparam("b_state"),
        runs.c.heartbeat == sa.bindparam("b_heartbeat"),
    )
    .values(
        host=sa.bindparam("a_host"),
        pid=sa.bindparam("a_pid"),
        pid_started=sa.bindparam("a_pid_started"),
        state="running",
        heartbeat=Now(),
        finished=None,
        exit_code=None,
    )
)
_RUN: Final = sa.select(runs, (Now() - runs.c.heartbeat).label("silence"))
GET: Final = _RUN.where(runs.c.id == sa.bindparam("b_run"))
STEPS: Final = (
    sa.select(steps).where(steps.c.run_id == sa.bindparam("b_run")).order_by(steps.c.position)
)
UNFINISHED: Final = _RUN.where(
    runs.c.environment == sa.bindparam("b_environment"),
    runs.c.state == "running",
    runs.c.dry_run.is_(sa.false()),
).order_by(runs.c.id)


def newest(limit: int, environment: str | None, before: str | None) -> sa.Select[Any]:
    """Return the query for a page of runs, newest first."""
    query = _RUN.order_by(runs.c.id.desc()).limit(limit)
    if environment is not None:
        query = query.where(runs.c.environment == environment)
    return query if before is None else query.where(runs.c.id < before)


def run(row: Any) -> Run:
    """Return a row of `script_execution_log` as a record."""
    return Run(**dict(row._mapping) | {"plan": json.loads(row.plan)})


def step(row: Any) -> StepRecord:
    """Return a row of `run_steps` as a record."""
    result = None if row.result is None else json.loads(row.result)
    values = {"arguments": json.loads(row.arguments), "result": result}
    return StepRecord(**dict(row._mapping) | values)
