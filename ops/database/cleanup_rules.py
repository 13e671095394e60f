"""A retention rule held against the database: its table, its column, its partitions, who refers to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ops.database.init_grants import name
from ops.database.sql import Connection
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.settings.data import Cleanup
from ops.kernel.settings.faults import did_you_mean

TYPES: Final = {
    # The limit, a moment, in the type of the column: a time without zone is read as UTC.
    "timestamp with time zone": "{limit}",
    "timestamp without time zone": "({limit} at time zone 'UTC')",
    "date": "({limit} at time zone 'UTC')::date",
}
_TABLES: Final = """
select n.nspname, c.relname, c.oid, c.relkind, pg_has_role(c.relowner, 'usage'),
  has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'update')
    and has_table_privilege(c.oid, 'delete')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2"""
_COLUMNS: Final = """
select attname, attnum, format_type(atttypid, null) from pg_attribute
where attrelid = %s and attnum > 0 and not attisdropped order by attnum"""
# Tables that hold the rows: the table itself, or the leaves of its partitions.
_LEAVES: Final = """
select n.nspname, c.relname, c.relkind = 'f',
  exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
          join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
          where i.indrelid = c.oid and i.indisvalid and i.indpred is null and m.amname = 'btree'
            and a.attname = %(column)s)
from (select relid from pg_partition_tree(%(table)s::oid) where isleaf
      union select %(table)s::oid where not exists (select from pg_partitioned_table where partrelid = %(table)s)) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace order by 1, 2"""
_REFERENCES: Final = """
with recursive found as (
  select conrelid, confrelid, confdeltype, conname from pg_constraint
  where contype = 'f' and conparentid = 0 and confrelid = %(table)s
  union
  select c.conrelid, c.confrelid, c.confdeltype, c.conname from pg_constraint c
  join found f on c.confrelid = f.conrelid
  where f.confdeltype = 'c' and c.contype = 'f' and c.conparentid = 0)
select conrelid, conrelid::regclass::text, confrelid, confrelid::regclass::text, confdeltype::text
from found order by 2, 4"""


@dataclass(frozen=True)
class Leaf:
    """A table that holds rows.

    Args:
        table: Its name for SQL.
        indexed: Whether rows can be found by their age without reading all.
    """

    table: str
    indexed: bool


@dataclass(frozen=True)
class Subject:
    """A rule and the table that it is about.

    Args:
        rule: Name of the rule.
        settings: The rule.
        oid: Of the table.
        table: Name of the table for SQL.
        column: Name of the column for SQL.
        plain_column: Name of the column.
        limit: SQL of the limit; `%(limit)s` is the moment.
        partitioned: Whether it is a partitioned table.
        owned: Whether this user may change the table itself, for partitions.
        leaves: That hold its rows.
        foreign: Partitions on other servers, which stay.
        cascades: Tables that lose rows as well.
        nulls: Tables that lose their reference.
        restricts: Tables whose references hold a row.
    """

    rule: str
    settings: Cleanup
    oid: int
    table: str
    column: str
    plain_column: str
    limit: str
    partitioned: bool
    owned: bool
    leaves: tuple[Leaf, ...]
    foreign: tuple[str, ...]
    cascades: tuple[str, ...]
    nulls: tuple[str, ...]
    restricts: tuple[str, ...]

    @property
    def referred_to(self) -> bool:
        """Whether a foreign key points at the table."""
        return bool(self.cascades or self.nulls or self.restricts)

    @property
    def rows(self) -> str:
        """The table as DELETE and SELECT need it: without tables that only inherit from it."""
        return self.table if self.partitioned else f"only {self.table}"


def resolve(
    connection: Connection, rule: str, settings: Cleanup, schemas: tuple[str, ...]
) -> Subject:
    """Find table and column of a rule.

    Raises:
        ConfigurationError: Table or column do not exist, or cannot be used for this.
        NotPermitted: This user may not delete there.
    """
    schema, table, oid, kind, owned, permitted = _table(connection, rule, settings, schemas)
    column, kind_of_column = _column(connection, rule, settings, oid)
    full = f"{name(schema)}.{name(table)}"
    if not permitted:
        raise NotPermitted(
            f"cleanup {rule}: this user lacks privileges on {full}",
            why="SELECT, UPDATE and DELETE are needed",
            hint=f"set migration_url to the owner of {full}, or grant them",
        )
    leaves = connection.execute(_LEAVES.encode(), {"column": column, "table": oid}).fetchall()
    references = list(_references(connection, rule, full, oid))
    return Subject(
        rule,
        settings,
        oid,
        full,
        name(column),
        column,
        TYPES[kind_of_column].format(limit="%(limit)s::timestamptz"),
        kind == "p",
        owned,
        tuple(
            Leaf(f"{name(s)}.{name(t)}", there) for s, t, foreign, there in leaves if not foreign
        ),
        tuple(f"{name(s)}.{name(t)}" for s, t, foreign, _ in leaves if foreign),
        tuple(child for how, child in references if how == "c"),
        tuple(child for how, child in references if how in "nd"),
        tuple(child for how, child in references if how in "ar"),
    )


def _table(
    connection: Connection, rule: str, settings: Cleanup, schemas: tuple[str, ...]
) -> tuple[Any, ...]:
    rows = connection.execute(_TABLES.encode()).fetchall()
    known = {(row[0], row[1]): row for row in rows}
    schema, dot, table = settings.table.partition(".")
    found = known.get((schemas[0], settings.table)) or (known.get((schema, table)) if dot else None)
    if found is None:
        choices = [row[1] if row[0] == schemas[0] else f"{row[0]}.{row[1]}" for row in rows]
        where = "" if dot else f" in schema {schemas[0]}"
        raise ConfigurationError(
            f"cleanup.{rule}.table: there is no table {settings.table!r}{where}"
            f"{did_you_mean(settings.table, choices)}",
            hint="correct it in ops.toml",
        )
    return tuple(found)


def _column(connection: Connection, rule: str, settings: Cleanup, oid: int) -> tuple[str, str]:
    types = {row[0]: row[2] for row in connection.execute(_COLUMNS.encode(), [oid])}
    column = settings.column
    if column not in types:
        raise ConfigurationError(
            f"cleanup.{rule}.column: table {settings.table} has no column {column!r}"
            f"{did_you_mean(column, types)}",
            hint="correct it in ops.toml",
        )
    if types[column] not in TYPES:
        raise ConfigurationError(
            f"cleanup.{rule}.column: {column} is of type {types[column]}, not a time or date",
            hint=f"name one of {', '.join(c for c, t in types.items() if t in TYPES) or 'another table'}",
        )
    return column, types[column]


def _references(
    connection: Connection, rule: str, table: str, oid: int
) -> Iterator[tuple[str, str]]:
    """Yield how a foreign key acts on a deletion, and the table that has it; through cascades as well."""
    rows = connection.execute(_REFERENCES.encode(), {"table": oid})
    for child_oid, child, parent_oid, parent, how in rows:
        if how == "c" and child_oid == oid:
            raise ConfigurationError(
                f"cleanup {rule}: rows of {table} that are still young could go",
                why=f"a foreign key ON DELETE CASCADE leads from {parent} back to it",
                hint="make that key ON DELETE SET NULL, or delete these rows by hand",
            )
        yield how, child if parent_oid == oid else f"{child} (by {parent})"
