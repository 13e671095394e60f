"""Run by Alembic: migrates inside the transaction that `upgrade` was given."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="state_version",
)
with context.begin_transaction():
    context.run_migrations()
