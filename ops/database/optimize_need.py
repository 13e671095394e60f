"""What PostgreSQL's own counters say about tables: dead rows, changed rows, age of the oldest transaction id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql as texts

from ops.database.sql import Connection
from ops.kernel.settings.data import Maintenance

FEW: Final = 50
"""Rows below which a table is left alone: PostgreSQL's autovacuum_vacuum_threshold, autovacuum_analyze_threshold."""
OLD: Final = 0.5
"""Share of autovacuum_freeze_max_age from which a table is frozen: before autovacuum does it at a time of its own."""

# The size of a table that is locked cannot be asked: the call would wait. The planner's is as old as its last analyse.
_SIZE: Final = """
case when {0}.oid in (select relation from pg_locks where mode = 'AccessExclusiveLock'
                      and database = (select oid from pg_database where datname = current_database()))
     then {0}.relpages::bigint * current_setting('block_size')::int else {1}({0}.oid) end"""

# A counter that was lost (crash, new server) is no zero: the planner's row count stands in until the next vacuum.
_TABLES: Final = """
select c.oid, n.nspname, c.relname, {},
       case when coalesce(s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze) is null
                 and c.reltuples >= 0
            then greatest(c.reltuples, coalesce(s.n_live_tup, 0)) else coalesce(s.n_live_tup, 0) end::float,
       coalesce(s.n_dead_tup, 0), coalesce(s.n_mod_since_analyze, 0),
       greatest(age(c.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::float,
                mxid_age(c.relminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float),
       pg_has_role(c.relowner, 'usage')
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_all_tables s on s.relid = c.oid
where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname = any(%s)
  and (%s = '' or c.relname = %s)
order by 2, 3"""

_OLDEST: Final = """
select pid, coalesce(nullif(application_name, ''), backend_type), state,
       extract(epoch from clock_timestamp() - xact_start)::float
from pg_stat_activity
where pid <> pg_backend_pid() and datname = current_database() and coalesce(backend_xid, backend_xmin) is not null
order by greatest(age(backend_xid), age(backend_xmin)) desc limit 1"""


@dataclass(frozen=True)
class Table:
    """One table as it is now.

    Args:
        oid: Its number.
        schema: Its schema.
        name: Its name.
        size: Bytes, with TOAST, without indexes.
        live: Rows, about.
        dead: Row versions that a vacuum may remove.
        changed: Rows changed since the last analyse.
        age: Oldest transaction id, as a share of the age at which autovacuum freezes in any case.
        allowed: Whether this user may work on it: it owns it.
    """

    oid: int
    schema: str
    name: str
    size: int
    live: float
    dead: int
    changed: int
    age: float
    allowed: bool

    @property
    def shown(self) -> str:
        """Name with its schema."""
        return f"{self.schema}.{self.name}"

    def vacuum(self, limits: Maintenance) -> str:
        """Return why it must be vacuumed, empty when it need not."""
        share = 100 * self.dead / max(self.live + self.dead, 1)
        if self.dead >= FEW and share >= limits.dead_rows:
            return f"{share:.0f} % dead rows, {megabytes(self.size)}"
        return ""

    def freeze(self) -> str:
        """Return why its rows must be frozen, empty when they need not."""
        return f"age {self.age:.0%} of the forced freeze" if self.age >= OLD else ""

    def analyse(self, limits: Maintenance) -> str:
        """Return why it must be analysed, empty when it need not."""
        share = 100 * self.changed / max(self.live + self.dead, 1)
        if self.changed >= FEW and share >= limits.changed_rows:
            return f"{min(share, 100):.0f} % of its rows changed"
        return ""

    def wasted(self) -> float:
        """Return about how many bytes dead rows take."""
        return self.size * self.dead / max(self.live + self.dead, 1)


def tables(connection: Connection, schemas: Sequence[str], name: str = "") -> list[Table]:
    """Measure the tables of schemas, or the one of that name."""
    found = connection.execute(
        texts.SQL(_TABLES).format(size("c", "pg_table_size")), [list(schemas), name, name]
    ).fetchall()
    return [Table(*row) for row in found]


def size(alias: LiteralString, function: LiteralString) -> texts.Composed:
    """Return the SQL of a relation's size that waits for nobody.

    Args:
        alias: Of pg_class.
        function: pg_table_size or pg_relation_size.
    """
    return texts.SQL(_SIZE).format(texts.SQL(alias), texts.SQL(function))


def oldest(connection: Connection) -> str:
    """Return the session that keeps dead rows alive by its age, empty when none does."""
    row = connection.execute(_OLDEST.encode()).fetchone()
    if row is None:
        return ""
    pid, program, state, age = row
    return f"process {pid} ({program}, {state or 'state unknown'}) is in a transaction of {age or 0:.0f} s"


def megabytes(size: float) -> str:
    """Return a size for a person."""
    return f"{size / 1e6:.1f} MB" if size < 10e6 else f"{size / 1e6:.0f} MB"
