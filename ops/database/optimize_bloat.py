"""Unused space of b-tree indexes: an estimate for all of them, the exact value for the worst few.

The estimate compares the pages of an index with those that its rows need by the planner's statistics, after
ioguix/pgsql-bloat-estimation (BSD). It can be wrong by tens of points, above all for wide texts; what an index is
estimated at right after it was rebuilt is therefore taken off.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from psycopg import sql as texts

from ops.database import sql
from ops.database.optimize_need import Table, megabytes, size
from ops.kernel.errors import OpsError

SMALLEST: Final = 1024 * 1024
"""Bytes below which an index is left alone: there is nothing to gain."""
EXACT: Final = 5
"""How many of the worst are read whole for the exact value; reading costs what the index is large."""
_EXACT_TIMEOUT: Final = "30s"
# src/include: PageHeaderData, BTPageOpaqueData, ItemIdData, IndexTupleData without and with a bitmap of NULLs.
_PAGE, _OPAQUE, _POINTER, _TUPLE, _TUPLE_NULLS, _ALIGN = 24, 16, 4, 8, 16, 8

# Only where the planner knows the width of each column. An exclusion constraint cannot be rebuilt concurrently.
_INDEXES: Final = """
select i.oid, t.oid, n.nspname, i.relname, i.relfilenode, s.size, c.width::float, c.nulls,
       case when x.indpred is null then -1 else greatest(i.reltuples, 0) end::float,
       coalesce((select option_value::int from pg_options_to_table(i.reloptions)
                 where option_name = 'fillfactor'), 90),
       current_setting('block_size')::int
from pg_index x
join pg_class i on i.oid = x.indexrelid and i.relkind = 'i'
join pg_am m on m.oid = i.relam and m.amname = 'btree'
join pg_class t on t.oid = x.indrelid
join pg_namespace n on n.oid = i.relnamespace
join lateral (select {} as size) s on s.size >= %s
join lateral (
    select count(*) as columns, count(s.avg_width) as known, bool_or(s.null_frac > 0) as nulls,
           sum((1 - s.null_frac) * s.avg_width) as width
    from pg_attribute a
    left join pg_attribute b on b.attrelid = t.oid and b.attnum = x.indkey[a.attnum - 1]
    left join pg_stats s on s.schemaname = n.nspname and not s.inherited
         and s.tablename = case when b.attnum is null then i.relname else t.relname end
         and s.attname = coalesce(b.attname, a.attname)
    where a.attrelid = i.oid and a.attnum > 0
) c on c.known = c.columns
where x.indisvalid and not x.indisexclusion and t.oid = any(%s)
order by 3, 4"""
_INSTALLED: Final = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pgstattuple'"""

# What is needed: the leaves as full as the fill factor says, the pages above them, the meta page.
_READ: Final = """
select 100 * (1 - (leaf_pages * case when avg_leaf_density = 'NaN' then 0 else avg_leaf_density end
                   / coalesce((select option_value::int from pg_options_to_table(c.reloptions)
                               where option_name = 'fillfactor'), 90) + internal_pages + 1)
              / (index_size / current_setting('block_size')::float))
from pg_class c, {}.pgstatindex(c.oid::regclass) where c.oid = %s"""


@dataclass(frozen=True)
class Index:
    """One b-tree index as it is now.

    Args:
        oid: Its number.
        table: That of its table.
        schema: Its schema.
        name: Its name.
        file: Its relfilenode; a rebuild gives it another.
        size: Bytes.
        estimate: Share of unused space in percent, by the statistics.
        bloat: The same, as exact as it is known.
        exact: Whether that was measured.
    """

    oid: int
    table: int
    schema: str
    name: str
    file: int
    size: int
    estimate: float
    bloat: float
    exact: bool = False

    @property
    def shown(self) -> str:
        """Name with its schema."""
        return f"{self.schema}.{self.name}"

    def reason(self) -> str:
        """Return why it must be rebuilt."""
        known = "" if self.exact else " by estimate"
        return f"{self.bloat:.0f} % unused{known}, {megabytes(self.size)}"

    def wasted(self) -> float:
        """Return about how many bytes are unused."""
        return self.size * self.bloat / 100


def indexes(
    connection: sql.Connection, tables: Sequence[Table], floors: Mapping[str, Sequence[float]]
) -> list[Index]:
    """Estimate the indexes of tables.

    Args:
        connection: To the database.
        tables: As measured.
        floors: By name: relfilenode and estimate right after the last rebuild.
    """
    live = {each.oid: each.live for each in tables}
    query = texts.SQL(_INDEXES).format(size("i", "pg_relation_size"))
    found = []
    for row in connection.execute(query, [SMALLEST, list(live)]).fetchall():
        oid, table, schema, name, file, taken, width, nulls, partial, fill, block = row
        rows = live[table] if partial < 0 else partial
        estimate = _estimate(taken / block, rows, width, nulls, fill, block)
        known, floor = floors.get(f"{schema}.{name}", (0, 0.0))
        bloat = max(0.0, estimate - (floor if known == file else 0.0))
        found.append(Index(oid, table, schema, name, file, taken, estimate, bloat))
    return found


def measured(
    connection: sql.Connection, found: Sequence[Index], threshold: float
) -> tuple[list[Index], bool]:
    """Return the indexes at or above a threshold, worst first, the worst few exactly.

    Args:
        connection: To the database.
        found: As estimated.
        threshold: Percent.

    Returns:
        The indexes, and whether the extension pgstattuple is there to measure them.
    """
    above = sorted((each for each in found if each.bloat >= threshold), key=lambda i: -i.wasted())
    row = connection.execute(_INSTALLED.encode()).fetchone()
    if row is None:
        return above, False
    worst = [_exact(connection, str(row[0]), each) for each in above[:EXACT]]
    return [each for each in [*worst, *above[EXACT:]] if each.bloat >= threshold], True


def command(index: Index) -> str:
    """Return the statement that settles what an estimate leaves open."""
    words = ["create extension pgstattuple;", "select avg_leaf_density from"]
    return " ".join([*words, f"pgstatindex('{index.shown}')"])


def _estimate(pages: float, rows: float, width: float, nulls: bool, fill: int, block: int) -> float:
    """Return the unused share in percent."""
    row = (_TUPLE_NULLS if nulls else _TUPLE) + math.ceil(width / _ALIGN) * _ALIGN + _POINTER
    a_page = max(1, (block - _PAGE - _OPAQUE) * fill // 100 // row)
    leaves = math.ceil(rows / a_page)
    needed = 2 + leaves + leaves / a_page  # meta page, root, leaves, pages above the leaves
    return max(0.0, 100 * (1 - needed / pages))


def _exact(connection: sql.Connection, schema: str, index: Index) -> Index:
    """Read an index whole; the estimate stays when that is not allowed or takes too long."""
    query = texts.SQL(_READ).format(texts.Identifier(schema))
    with contextlib.suppress(OpsError), sql.translated("cannot measure"):
        with connection.transaction():
            connection.execute("select set_config('statement_timeout', %s, true)", [_EXACT_TIMEOUT])
            row = connection.execute(query, [index.oid]).fetchone()
        if row is not None:
            return replace(index, bloat=max(0.0, float(row[0])), exact=True)
    return index
