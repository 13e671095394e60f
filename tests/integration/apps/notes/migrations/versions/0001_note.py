"""Notes."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE note (id bigint AUTO_INCREMENT PRIMARY KEY, body text NOT NULL)"
        " CHARACTER SET utf8mb4"
    )
    op.execute("INSERT INTO note (body) VALUES ('first')")
