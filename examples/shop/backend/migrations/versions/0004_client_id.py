"""The client's own name of an order: sent twice, it is placed once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the change."""
    comment = "chosen by the client: a repeated order counts once"
    op.add_column("orders", sa.Column("client_id", sa.Text, comment=comment))
    op.create_unique_constraint("orders_client_id_key", "orders", ["client_id"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("orders", "client_id")
