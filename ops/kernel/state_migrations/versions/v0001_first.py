"""Journal, histories and the audit chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ops.kernel.store import audit_guard

revision = "0001"
down_revision = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _run_id(*, key: bool = False) -> sa.Column[str]:
    return sa.Column("run_id", sa.Text, sa.ForeignKey("script_execution_log.id"), primary_key=key)


def upgrade() -> None:
    """Create all tables and the guard of the audit table."""
    _create_journal()
    _create_histories()
    op.create_table(
        "audit_logs",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        *_texts("at", "actor", "action", "target", "result", "details", "previous", "hash"),
    )
    for statement in audit_guard.statements(op.get_bind().dialect.name):
        op.execute(statement)


def _create_journal() -> None:
    op.create_table(
        "script_execution_log",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("task", "operation", "environment", "target", "actor", "host"),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("pid_started", sa.Double, nullable=False),
        *_texts("invops_version"),
        sa.Column("plan_schema", sa.Integer, nullable=False),
        *_texts("plan", "seen"),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        *_texts("state"),
        sa.Column("heartbeat", sa.Double, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("finished", sa.Double),
        sa.Column("exit_code", sa.Integer),
        *_texts("error"),
    )
    op.create_index(
        "script_execution_log_by_environment", "script_execution_log", ["environment", "id"]
    )
    op.create_table(
        "run_steps",
        _run_id(key=True),
        sa.Column("step_id", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        *_texts("action", "arguments", "state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("finished", sa.Double),
        sa.Column("result", sa.Text),
        *_texts("note", "error"),
        sa.Column("process_group", sa.BigInteger),
        sa.Column("process_started", sa.Double),
        sa.Column("log_offset", sa.BigInteger),
    )


def _create_histories() -> None:
    own = {
        "migration_history": ("actor", "version", "name", "checksum", "result"),
        "health_check_results": ("name", "result", "detail"),
    }
    for table, texts in own.items():
        op.create_table(
            table,
            sa.Column("id", sa.Text, primary_key=True),
            _run_id(),
            *_texts("environment", "target", *texts),
            sa.Column("seconds", sa.Double, nullable=False),
            sa.Column("recorded", sa.Double, nullable=False),
        )
        op.create_index(f"{table}_by_environment", table, ["environment", "id"])
