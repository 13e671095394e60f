"""Deletes rows in small transactions that wait for nobody.

Rows that somebody else has locked are skipped. Where the column is indexed, batches go along the index by its values;
elsewhere along the blocks of the table, so that each block is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ops.database.cleanup_rules import Leaf, Subject
from ops.database.sql import Connection

_EARLIEST: Final = "-infinity"
# The condition stands twice: a row that changed between both looks is not deleted. Names are quoted, values bound.
_DELETE: Final = """
with old as materialized (
  select ctid, {column} as moment from only {table}
  where {where} and {column} < {limit} {order} limit %(size)s for update skip locked),
gone as (delete from only {table} where ctid = any(array(select ctid from old)) and {column} < {limit} returning 1)
select (select count(*) from gone), (select count(*) from old), (select max(moment)::text from old)"""
_BLOCKS: Final = """
select pg_relation_size(c.oid) / current_setting('block_size')::int,
  case when c.relpages > 0 and c.reltuples > 0 then c.reltuples / c.relpages else 50 end
from pg_class c where c.oid = %s::regclass"""


def delete(
    connection: Connection, subject: Subject, leaf: Leaf, limit: str, size: Callable[[], int]
) -> Iterator[int]:
    """Delete the rows of a table that are older than the limit, batch by batch.

    Args:
        connection: To the database, each statement its own transaction.
        subject: The rule.
        leaf: The table.
        limit: The moment, in ISO 8601; a row of exactly that moment stays.
        size: Returns how many rows the next batch may have.

    Yields:
        Rows deleted by each batch.
    """
    along = _by_index if leaf.indexed else _by_blocks
    yield from along(connection, subject, leaf, limit, size)


def _by_index(
    connection: Connection, subject: Subject, leaf: Leaf, limit: str, size: Callable[[], int]
) -> Iterator[int]:
    # Not "greater than": rows of the same moment may be in two batches. From there on, dead rows are not read again.
    where = f"{subject.column} >= %(after)s"
    query = _query(subject, leaf, where, f"order by {subject.column}")
    after = _EARLIEST
    while True:
        arguments = {"after": after, "limit": limit, "size": size()}
        gone, found, last = _run(connection, query, arguments)
        yield gone
        # Rows that stay although nobody has locked them: a trigger of the table keeps them.
        if not found or (not gone and last == after):
            return
        after = last


def _by_blocks(
    connection: Connection, subject: Subject, leaf: Leaf, limit: str, size: Callable[[], int]
) -> Iterator[int]:
    row = connection.execute(_BLOCKS.encode(), [leaf.table]).fetchone()
    assert row is not None
    blocks, rows_of_block = int(row[0]), float(row[1])
    step = max(1, int(size() / rows_of_block))
    query = _query(subject, leaf, "ctid >= %(first)s::tid and ctid < %(end)s::tid", "")
    for first in range(0, blocks, step):
        window = {"first": f"({first},0)", "end": f"({first + step},0)", "limit": limit}
        while True:
            asked = size()
            gone, found, _ = _run(connection, query, {**window, "size": asked})
            yield gone
            if not gone or found < asked:
                break


def _query(subject: Subject, leaf: Leaf, where: str, order: str) -> bytes:
    return _DELETE.format(
        table=leaf.table,
        column=subject.column,
        where=where,
        order=order,
        limit=subject.limit,
    ).encode()


def _run(
    connection: Connection, query: bytes, arguments: dict[str, object]
) -> tuple[int, int, str]:
    row = connection.execute(query, arguments).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), str(row[2])
