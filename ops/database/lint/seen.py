"""What PostgreSQL says about the relations that the own transaction touched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ops.database.sql import Connection

# Weakest first (PostgreSQL manual, 13.3.1). ACCESS SHARE is what a SELECT takes: only DROP and ALTER wait for it.
MODES: Final = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
# `pg_stat_xact_*` count what this transaction did; ALTER TABLE and CREATE INDEX read a table as a sequential scan does.
_RELATIONS: Final = """
select c.oid, n.nspname, c.relname, c.relkind::text, c.relfilenode, coalesce(i.indrelid, 0),
       coalesce(pg_stat_get_xact_numscans(c.oid), 0),
       coalesce(pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
                + pg_stat_get_xact_tuples_deleted(c.oid), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_index i on i.indexrelid = c.oid
where c.relkind in ('r', 'p', 'm', 'f', 'v', 'i', 'I')
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'"""
_OF: Final = " and (c.oid = any(%s) or i.indrelid = any(%s))"
_LOCKS: Final = """
select relation, mode from pg_locks
where locktype = 'relation' and pid = pg_backend_pid() and granted
  and database = (select oid from pg_database where datname = current_database())"""


@dataclass(frozen=True)
class Relation:
    """A table, view or index.

    Args:
        name: With its schema.
        kind: relkind of pg_class.
        file: Its relfilenode: another one means that it was written anew.
        table: For an index the oid of its table, else 0.
        scans: How often this transaction read it from begin to end.
        rows: Rows that this transaction inserted, updated and deleted.
    """

    name: str
    kind: str
    file: int
    table: int
    scans: int
    rows: int


@dataclass(frozen=True)
class Look:
    """One look at the server.

    Args:
        relations: By oid.
        modes: Strongest lock of this transaction by oid, as an index of `MODES`.
    """

    relations: dict[int, Relation]
    modes: dict[int, int]


def look(connection: Connection, known: Look | None = None) -> Look:
    """Ask the server what there is and which locks this transaction holds.

    Args:
        connection: To the scratch server, in a transaction.
        known: An earlier look of this transaction: then only what it holds locked is asked for again.
    """
    modes: dict[int, int] = {}
    for oid, mode in connection.execute(_LOCKS.encode()):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
        modes[oid] = max(MODES.index(words), modes.get(oid, 0))
    locked = list(modes)
    query, values = (_RELATIONS, []) if known is None else (_RELATIONS + _OF, [locked, locked])
    rows = connection.execute(query.encode(), values).fetchall()
    found = {row[0]: Relation(f"{row[1]}.{row[2]}", *row[3:]) for row in rows}
    if known is not None:
        kept = {
            oid: each
            for oid, each in known.relations.items()
            if oid not in modes and each.table not in modes
        }
        found = {**kept, **found}
    return Look(found, modes)
