"""A migration of an application is recorded when it begins: its commit, and when it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what a record lacks that is written before the work; `recorded` is when it began."""
    op.add_column(
        "migration_history", sa.Column("commit_id", sa.Text, nullable=False, server_default="")
    )
    op.add_column("migration_history", sa.Column("finished", sa.Double))
