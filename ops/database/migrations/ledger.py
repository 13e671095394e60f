"""Which SQL files a database has: its own table, and the Supabase CLI's where that one is used.

The text of each file is kept, so that a changed one can be shown as a difference without git.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql as statements

from ops.database import sql
from ops.database.migrations.files import File
from ops.database.migrations.model import Source
from ops.kernel.errors import ConfigurationError

_COLUMNS: Final = {
    "state": "text not null default 'done'",
    "statements_done": "integer not null default 0",
    "text": "text not null default ''",
    "run": "text not null default ''",
}
_NEW: Final = """create table if not exists {} (
    version text primary key, name text not null, sha256 text not null,
    applied_at timestamptz not null default now())"""
_PLACE: Final = """select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(%s)"""
_PRESENT: Final = """select attname from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"""
SUPABASE: Final = "supabase_migrations.schema_migrations"
_DETAILS: Final = "supabase_migrations.invops_migrations"
_OWN: Final = "schema_migrations"


@dataclass(frozen=True)
class Record:
    """What the database says about a file.

    Args:
        name: Its name.
        checksum: SHA-256, empty when another tool applied it.
        done: Whether all of it was carried out.
        statements_done: How many of its statements, when it cannot be taken back.
        text: Its content then; empty when another tool, or an older version, applied it.
        at: When.
        run: Which run; empty for another tool.
    """

    name: str
    checksum: str
    done: bool = True
    statements_done: int = 0
    text: str = ""
    at: str = ""
    run: str = ""


@dataclass(frozen=True)
class Ledger:
    """The tables of a database that hold the records.

    Args:
        table: Ours, with its schema, quoted.
        supabase: Columns of the Supabase CLI's table, empty when it is not in use.
    """

    table: statements.Identifier
    supabase: frozenset[str] = frozenset()

    def begin(self, connection: sql.Connection, file: File, run: str, done: int) -> None:
        """Record that a file which cannot be taken back is begun, after `done` of its statements."""
        self._write(connection, file, run, "running", done)

    def step(self, connection: sql.Connection, file: File, done: int) -> None:
        """Record how many of its statements are done."""
        command = "update {} set statements_done = %s where version = %s"
        connection.execute(self._sql(command), [done, file.migration.id])

    def end(self, connection: sql.Connection, file: File, run: str) -> None:
        """Record that a file is applied."""
        self._write(connection, file, run, "done", len(file.statements))
        if self.supabase:
            values = {
                "version": file.migration.id,
                "name": file.migration.title,
                "statements": [each.text for each in file.statements],
            }
            known = [name for name in values if name in self.supabase]
            command = statements.SQL("insert into {} ({}) values ({}) on conflict do nothing")
            connection.execute(
                command.format(
                    statements.Identifier(*SUPABASE.split(".")),
                    statements.SQL(", ").join(map(statements.Identifier, known)),
                    statements.SQL(", ").join(statements.Placeholder() for _ in known),
                ),
                [values[name] for name in known],
            )

    def records(self, connection: sql.Connection) -> dict[str, Record]:
        """Return what is recorded, by version."""
        # As JSON: a table of an older version lacks columns, and reading may not add them.
        rows: list[tuple[dict[str, Any]]] = []
        if _columns(connection, self.table):
            rows = connection.execute(self._sql("select to_jsonb(t) from {} t")).fetchall()
        own = {str(row["version"]): _record(row) for (row,) in rows}
        if not self.supabase:
            return own
        table = statements.Identifier(*SUPABASE.split("."))
        command = statements.SQL("select to_jsonb(t) from {} t").format(table)
        theirs = connection.execute(command).fetchall()
        # Theirs decides what is applied, so `supabase migration repair` works; ours adds what it lacks.
        names = {str(row["version"]): str(row.get("name") or "") for (row,) in theirs}
        applied = {version: own.get(version, Record(name, "")) for version, name in names.items()}
        begun = {version: each for version, each in own.items() if not each.done}
        return begun | applied

    def _write(
        self, connection: sql.Connection, file: File, run: str, state: str, done: int
    ) -> None:
        each = file.migration
        command = """insert into {} (version, name, sha256, state, statements_done, text, run)
            values (%s, %s, %s, %s, %s, %s, %s) on conflict (version) do update set
            name = excluded.name, sha256 = excluded.sha256, state = excluded.state, text = excluded.text,
            statements_done = excluded.statements_done, run = excluded.run, applied_at = now()"""
        values = [each.id, each.title, each.checksum, state, done, each.text, run]
        connection.execute(self._sql(command), values)

    def _sql(self, command: str) -> statements.Composed:
        return statements.SQL(command).format(self.table)


def find(connection: sql.Connection, source: Source) -> Ledger | None:
    """Return the tables that a database has, None when nothing was ever applied.

    Raises:
        ConfigurationError: A table of that name belongs to another tool.
    """
    theirs = _columns(connection, SUPABASE)
    if theirs and source.path.parts[-2:] == ("supabase", "migrations"):
        return Ledger(statements.Identifier(*_DETAILS.split(".")), theirs)
    place = connection.execute(_PLACE, [_OWN]).fetchone()
    if place is None:
        return None
    if "sha256" not in _columns(connection, _OWN):
        raise ConfigurationError(
            f"the table {'.'.join(place)} belongs to another migration tool",
            hint="go on with that tool, or move its table away",
        )
    return Ledger(statements.Identifier(*place))


def ensure(connection: sql.Connection, source: Source) -> Ledger:
    """Return the tables, made or completed where needed."""
    found = find(connection, source) or Ledger(statements.Identifier(_OWN))
    connection.execute(statements.SQL(_NEW).format(found.table))
    made = find(connection, source)
    assert made is not None
    there = _columns(connection, made.table)
    for name, kind in _COLUMNS.items():
        if name not in there:  # asked first: ALTER TABLE waits for everybody, even for nothing
            command = f"alter table {{}} add column {name} {kind}"
            connection.execute(statements.SQL(command).format(made.table))
    return made


def _columns(connection: sql.Connection, table: str | statements.Identifier) -> frozenset[str]:
    name = table if isinstance(table, str) else table.as_string(connection)
    return frozenset(row[0] for row in connection.execute(_PRESENT, [name]).fetchall())


def _record(row: dict[str, Any]) -> Record:
    return Record(
        name=row["name"],
        checksum=row["sha256"],
        done=row.get("state", "done") == "done",
        statements_done=row.get("statements_done", 0),
        text=row.get("text", ""),
        at=str(row.get("applied_at", ""))[:19].replace("T", " "),
        run=row.get("run", ""),
    )
