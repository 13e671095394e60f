"""Bring a state database to the schema of this version, inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ops.kernel import tables


def upgrade(connection: sa.Connection) -> None:
    """Apply what is missing.

    Args:
        connection: Has a transaction open and the lock that keeps other processes away.
    """
    config = Config()
    # Alembic reads options with ConfigParser: a % in the folder's name would be a reference.
    folder = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def grant(connection: sa.Connection, writer: str) -> None:
    """Let `writer` use the tables of another owner: the audit table by INSERT and SELECT only."""
    role = connection.dialect.identifier_preparer.quote_identifier(writer)
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    for table, rights in tables.GRANTS.items():
        connection.exec_driver_sql(f"REVOKE ALL ON {schema}.{table} FROM PUBLIC, {role}")
        connection.exec_driver_sql(f"GRANT {rights} ON {schema}.{table} TO {role}")
