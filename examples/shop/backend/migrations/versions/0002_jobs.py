"""Jobs for the worker, also for the orders that are already there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(
            "order_id", sa.BigInteger, sa.ForeignKey("orders.id"), nullable=False, unique=True
        ),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.Column("done_at", sa.DateTime(timezone=True)),
    )
    op.create_index("jobs_open", "jobs", ["id"], postgresql_where=sa.text("done_at IS NULL"))
    op.execute("INSERT INTO jobs (order_id) SELECT id FROM orders ORDER BY id")


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("jobs")
