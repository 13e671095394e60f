"""What stands in the way of a migration: long transactions and dumps, and indexes that a failed one left invalid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql as statements

from ops.database import sql
from ops.database.migrations.files import excerpt
from ops.kernel.errors import Busy

LONG: Final = 60.0
"""Seconds after which a transaction that holds a table is not waited for."""

# Who may not see the others' statistics (pg_read_all_stats) sees no start: such a session is met by lock_timeout.
_HOLDERS: Final = """
    select a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'unnamed'), a.state, a.query,
           extract(epoch from clock_timestamp() - a.xact_start)::float, array_agg(distinct c.relname order by c.relname)
    from pg_locks l
    join pg_class c on c.oid = l.relation and c.relkind in ('r', 'p', 'm', 'v')
    join pg_stat_activity a on a.pid = l.pid
    where l.database = (select oid from pg_database where datname = current_database())
      and l.granted and a.pid <> pg_backend_pid() and c.relnamespace <> 'pg_catalog'::regnamespace
      and coalesce(a.backend_type, 'client backend') = 'client backend'
      and (a.application_name = 'pg_dump'
           or (c.relname = any(%s) and a.xact_start < clock_timestamp() - %s * interval '1 second'))
    group by 1, 2, 3, 4, 5, 6 order by 6 desc"""

# Not what is being built just now, nor the index of a partitioned table that waits for
# its partitions.
_INVALID: Final = """
    select n.nspname, i.relname, t.relname
    from pg_index x
    join pg_class i on i.oid = x.indexrelid and i.relkind = 'i'
    join pg_class t on t.oid = x.indrelid and t.relkind in ('r', 'm', 't')
    join pg_namespace n on n.oid = i.relnamespace
    where not x.indisvalid
      and not exists (select from pg_stat_progress_create_index p
                      where p.datname = current_database() and coalesce(p.relid, t.oid) = t.oid)
      and not exists (select from pg_inherits h where h.inhrelid = i.oid)
      and not exists (select from pg_constraint c where c.conindid = i.oid)
    order by 1, 2"""


@dataclass(frozen=True)
class Invalid:
    """An index that CREATE or REINDEX CONCURRENTLY left half-made.

    Args:
        schema: Its schema.
        name: Its name.
        table: Its table.
        rebuilt: Whether it is only the second copy of a valid index.
    """

    schema: str
    name: str
    table: str
    rebuilt: bool


def refuse(connection: sql.Connection, names: list[str]) -> None:
    """Refuse while a long transaction or a dump holds what a migration needs: everybody would queue behind it.

    Args:
        connection: To the database.
        names: Names of the tables, and any other words.

    Raises:
        Busy: Names the session and what to do about it.
    """
    held = in_the_way(connection, names)
    if held:
        what, hint = held
        raise Busy(what, why="a migration would wait for it, and everybody behind", hint=hint)


def in_the_way(connection: sql.Connection, names: list[str]) -> tuple[str, str] | None:
    """Return who holds a table that a migration names, with what to do about it; None when nobody does."""
    row: tuple[Any, ...] | None = connection.execute(_HOLDERS.encode(), [names, LONG]).fetchone()
    if row is None:
        return None
    pid, user, application, state, query, age, tables = row
    named = [table for table in tables if table in names] or tables
    what = "a dump" if application == "pg_dump" else f"a transaction of {age or 0:.0f} s"
    return (
        f"{what} holds {', '.join(named[:5])}: process {pid}, user {user}, {application},"
        f" {state or 'state unknown'}, {excerpt(query or '', 100)}",
        f"wait until it ends, or end it: select pg_terminate_backend({pid})",
    )


def invalid(connection: sql.Connection, names: list[str]) -> list[Invalid]:
    """Return the indexes that can be removed: second copies, and those that a pending migration makes again.

    Args:
        connection: To the database.
        names: Every word of the migrations that are going to run.
    """
    found = []
    for schema, name, table in connection.execute(_INVALID).fetchall():
        base = name.rstrip("0123456789")
        rebuilt = base.endswith(("_ccnew", "_ccold"))
        if rebuilt or name in names:
            found.append(Invalid(schema, name, table, rebuilt))
    return found


def remove(connection: sql.Connection, each: Invalid) -> None:
    """Remove an invalid index without keeping anybody waiting; the connection is in autocommit."""
    name = statements.Identifier(each.schema, each.name)
    connection.execute(statements.SQL("drop index concurrently if exists {}").format(name))
