"""The tables of the state database. Texts hold canonical JSON where a column says so.

`script_execution_log` and `run_steps` are the journal, `audit_logs` is the chain. Times are seconds
since the epoch by the clock of the database, so two hosts agree on how old a heartbeat is.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = sa.MetaData()


class Now(FunctionElement[float]):
    """The clock of the database: seconds since the epoch."""

    inherit_cache = True
    type = sa.Double()


@compiles(Now, "sqlite")
def _now_in_sqlite(element: Now, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_in_postgresql(element: Now, compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, default=default)


def _moment(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double)


def _run_id(*, key: bool = False) -> sa.Column[str]:
    return sa.Column("run_id", sa.Text, sa.ForeignKey("script_execution_log.id"), primary_key=key)


runs = sa.Table(
    "script_execution_log",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("task"),
    _text("operation"),
    _text("environment"),
    _text("target"),
    _text("actor"),
    _text("host"),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("pid_started", sa.Double, nullable=False),
    _text("invops_version"),
    sa.Column("plan_schema", sa.Integer, nullable=False),
    _text("plan"),  # JSON
    _text("seen"),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    _text("state"),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    _moment("finished"),
    sa.Column("exit_code", sa.Integer),
    _text("error"),
    sa.Index("script_execution_log_by_environment", "environment", "id"),
)

steps = sa.Table(
    "run_steps",
    metadata,
    _run_id(key=True),
    sa.Column("step_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    _text("action"),
    _text("arguments"),  # JSON
    _text("state"),
    sa.Column("attempts", sa.Integer, nullable=False),
    _moment("started"),
    _moment("finished"),
    sa.Column("result", sa.Text),  # JSON
    _text("note"),
    _text("error"),
    sa.Column("process_group", sa.BigInteger),
    _moment("process_started"),
    sa.Column("log_offset", sa.BigInteger),
)

migrations = sa.Table(
    "migration_history",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _run_id(),
    _text("environment"),
    _text("target"),
    _text("actor"),
    _text("version"),
    _text("name"),
    _text("checksum"),
    _text("result"),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("recorded", sa.Double, nullable=False),
    _text("commit_id"),
    _moment("finished"),
    sa.Index("migration_history_by_environment", "environment", "id"),
)

health = sa.Table(
    "health_check_results",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _run_id(),
    _text("environment"),
    _text("target"),
    _text("name"),
    _text("result"),
    _text("detail"),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("recorded", sa.Double, nullable=False),
    sa.Index("health_check_results_by_environment", "environment", "id"),
)

# No second unique column: INSERT OR REPLACE can only meet `sequence`.
audit = sa.Table(
    "audit_logs",
    metadata,
    sa.Column(
        "sequence",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),  # JSON
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

# What the application's role may do in PostgreSQL when the owner is another one.
GRANTS = {
    runs.name: "SELECT, INSERT, UPDATE",
    steps.name: "SELECT, INSERT, UPDATE",
    migrations.name: "SELECT, INSERT, UPDATE",
    health.name: "SELECT, INSERT",
    audit.name: "SELECT, INSERT",
    "state_version": "SELECT",
}
