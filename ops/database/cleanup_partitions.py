"""Partitions that lie wholly before the limit: they are detached and dropped, which costs no row a thought.

What is about to be dropped carries a comment first, so that a partition which a killed run detached is found by the
next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from psycopg import sql as statements

from ops.database.cleanup_rules import Subject
from ops.database.init_grants import name
from ops.database.sql import Connection
from ops.kernel.errors import StepFailed

_KEY: Final = """
select partstrat = 'r' and partnatts = 1 and a.attname = %s
from pg_partitioned_table p left join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
where p.partrelid = %s"""
_DELETE_TRIGGERS: Final = """
select exists (select from pg_trigger where not tgisinternal and tgtype & 8 = 8 and tgrelid in (
  select relid from pg_partition_tree(%s::oid)))"""
_PARTITIONS: Final = """
select n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
where i.inhparent = %s order by 1, 2"""
_DETACHED: Final = """
select n.nspname, c.relname
from pg_description d join pg_class c on c.oid = d.objoid join pg_namespace n on n.oid = c.relnamespace
where d.classoid = 'pg_class'::regclass and d.objsubid = 0 and d.description = %s and not c.relispartition"""
_STATE: Final = """
select c.relispartition, coalesce((select inhdetachpending from pg_inherits where inhrelid = c.oid), false),
  exists (select from pg_inherits i join pg_class d on d.oid = i.inhrelid
          where i.inhparent = %(parent)s and pg_get_expr(d.relpartbound, d.oid) = 'DEFAULT')
from pg_class c where c.oid = to_regclass(%(partition)s)"""
_UPPER: Final = re.compile(r"TO \('([^']+)'\)$")


@dataclass(frozen=True)
class Partition:
    """A partition that can be dropped.

    Args:
        table: Its name for SQL.
        upper: Where it ends, in the words of the server; empty when an earlier run detached it.
    """

    table: str
    upper: str


def droppable(connection: Connection, subject: Subject, limit: str) -> list[Partition]:
    """Return the partitions of a table that lie wholly before the limit.

    None, when dropping them would not do what deleting does: foreign keys point at the table, a trigger sees
    deletions, it is not partitioned by ranges of that column, or this user does not own it.

    Args:
        connection: To the database.
        subject: The table.
        limit: The moment, in ISO 8601.
    """
    if not subject.partitioned or subject.referred_to or not subject.owned:
        return []
    row = connection.execute(_KEY.encode(), [subject.plain_column, subject.oid]).fetchone()
    watched = connection.execute(_DELETE_TRIGGERS.encode(), [subject.oid]).fetchone()
    if row is None or not row[0] or watched is None or watched[0]:
        return []
    rows = connection.execute(_PARTITIONS.encode(), [subject.oid]).fetchall()
    found = [
        Partition(f"{name(schema)}.{name(table)}", upper)
        for schema, table, bound in rows
        if (upper := _upper(bound)) and _before(connection, subject, upper, limit)
    ]
    return [*found, *_detached(connection, subject)]


def _upper(bound: str) -> str:
    found = _UPPER.search(bound or "")
    return found[1] if found else ""


def _before(connection: Connection, subject: Subject, upper: str, limit: str) -> bool:
    # The literal takes the type of what it is compared with: that of the column.
    query = f"select %(upper)s <= {subject.limit}"
    row = connection.execute(query.encode(), {"upper": upper, "limit": limit}).fetchone()
    return bool(row and row[0])


def _detached(connection: Connection, subject: Subject) -> Iterator[Partition]:
    for schema, table in connection.execute(_DETACHED.encode(), [_mark(subject)]).fetchall():
        yield Partition(f"{name(schema)}.{name(table)}", "")


def _mark(subject: Subject) -> str:
    return f"invops cleanup: partition of {subject.table} ({subject.oid}), to be dropped"


def exists(connection: Connection, partition: str) -> bool:
    """Say whether a table is there."""
    row = connection.execute(b"select to_regclass(%s) is not null", [partition]).fetchone()
    return bool(row and row[0])


def drop(connection: Connection, subject: Subject, partition: str, limit: str) -> None:
    """Detach a partition, then drop it; goes on where a killed run stopped.

    Args:
        connection: To the database, each statement its own transaction.
        subject: The table.
        partition: Its name for SQL.
        limit: The moment, in ISO 8601.

    Raises:
        StepFailed: It is not a partition any more and has rows that are too young.
    """
    arguments = {"parent": subject.oid, "partition": partition}
    row = connection.execute(_STATE.encode(), arguments).fetchone()
    if row is None:
        return
    attached, pending, default = row
    if attached:
        mark = statements.Literal(_mark(subject)).as_string(None)
        connection.execute(f"comment on table {partition} is {mark}".encode())
        # Concurrently is not possible beside a default partition.
        how = "finalize" if pending else "" if default else "concurrently"
        connection.execute(
            f"alter table {subject.table} detach partition {partition} {how}".encode()
        )
    else:
        _refuse_young(connection, subject, partition, limit)
    connection.execute(f"drop table {partition}".encode())


def _refuse_young(connection: Connection, subject: Subject, partition: str, limit: str) -> None:
    young = f"from {partition} where not {subject.column} < {subject.limit}"
    query = f"select exists (select {young})"
    row = connection.execute(query.encode(), {"limit": limit}).fetchone()
    if row and row[0]:
        raise StepFailed(
            f"{partition} was a partition of {subject.table} and has rows that are too young",
            why="somebody wrote to it after it was detached",
            hint=f"attach it again, or: comment on table {partition} is null",
        )
