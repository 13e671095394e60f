"""What a PostgreSQL database holds that belongs in a dump: tables with their rows, extensions, large objects.

Counted are the tables whose rows pg_dump writes: ordinary ones and the leaves of partitioned ones, unlogged as well.
Not counted: foreign tables (their rows are on another server), materialised views (a restore computes them anew, so
their rows may differ rightly), temporary tables (of other sessions), and tables of extensions (CREATE EXTENSION
fills them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql as statements

from ops.backup.manifest import Inventory, Table
from ops.database.sql import Connection

_TABLES: Final = """
select n.nspname, c.relname, has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'),
       row_security_active(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  and not exists (select from pg_depend d
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""
_EXTENSIONS: Final = (
    "select extname, extversion from pg_extension where extname <> 'plpgsql' order by 1"
)
# Owners and holders of rights as pg_shdepend has them, and the bootstrap superuser, whom it does not list.
_ROLES: Final = """
select rolname from pg_roles where oid = 10
union
select r.rolname from pg_shdepend s join pg_roles r on r.oid = s.refobjid
where s.refclassid = 'pg_authid'::regclass and (
  s.dbid = (select oid from pg_database where datname = current_database())
  or (s.classid = 'pg_database'::regclass
      and s.objid = (select oid from pg_database where datname = current_database())))
order by 1
"""


@dataclass(frozen=True)
class Found:
    """A table as the catalogue has it.

    Args:
        schema: Its schema.
        name: Its name.
        readable: Whether this role may read it.
        filtered: Whether row security hides rows of it from this role.
    """

    schema: str
    name: str
    readable: bool
    filtered: bool

    @property
    def title(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


def tables(connection: Connection) -> list[Found]:
    """Return the tables whose rows a dump has, in the order of their names."""
    return [Found(*row) for row in connection.execute(_TABLES).fetchall()]


def read(connection: Connection) -> Inventory:
    """Return what a database holds in the snapshot of the connection's transaction, rows counted."""
    return describe(connection, count(connection, tables(connection)))


def describe(connection: Connection, counted: Sequence[Table]) -> Inventory:
    """Return the inventory of a database whose rows were counted already."""
    return Inventory(
        system=system(connection),
        server_version=str(_one(connection, "show server_version")).split()[0],
        tables=tuple(counted),
        extensions={
            str(name): str(version) for name, version in connection.execute(_EXTENSIONS).fetchall()
        },
        large_objects=int(str(_one(connection, "select count(*) from pg_largeobject_metadata"))),
        roles=tuple(str(name) for (name,) in connection.execute(_ROLES).fetchall()),
    )


def count(
    connection: Connection, found: Sequence[Found], stop: Callable[[], bool] = lambda: False
) -> list[Table]:
    """Count the rows of tables, one after the other.

    Each in a savepoint that is rolled back, which gives the locks back: held to the end, those of 10,000 tables
    and their indexes would fill the server's table of locks.

    Args:
        connection: Its transaction has the snapshot.
        found: The tables.
        stop: Says that nobody wants the result any more.
    """
    counted = []
    for each in found:
        if stop():
            break
        query = statements.SQL("select count(*) from only {}").format(
            statements.Identifier(each.schema, each.name)
        )
        with connection.transaction(force_rollback=True):
            row = connection.execute(query).fetchone()
        counted.append(Table(each.schema, each.name, int(row[0]) if row else 0))
    return counted


def system(connection: Connection) -> str:
    """Return the identity of a database, independent of how it is reached: system identifier and its oid.

    Where a provider has closed pg_control_system to its users, the first part is 0.
    """
    oid = _one(connection, "select oid from pg_database where datname = current_database()")
    function = "pg_catalog.pg_control_system()"
    allowed = _one(connection, f"select has_function_privilege('{function}', 'execute')")
    identifier = (
        _one(connection, "select system_identifier from pg_control_system()") if allowed else 0
    )
    return f"{identifier}/{oid}"


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
