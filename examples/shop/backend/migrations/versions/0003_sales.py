"""Sales by item, booked by the worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "sales",
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("sold", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("sales")
