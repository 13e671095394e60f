"""Dumps of MySQL for tests: made, fed, and databases compared object by object."""

from __future__ import annotations

import re
from typing import Any

import pymysql
from pydantic import SecretStr

from ops.backup.engines.mysql import MysqlDumper
from ops.backup.manifest import Inventory, Manifest
from ops.backup.storage import Writer
from ops.kernel.context import Context

Connection = Any
_PIECE = 100_000


def dumped(context: Context, url: SecretStr) -> tuple[bytes, Inventory]:
    """Return a dump and what it says that it holds."""
    dumper, pieces = MysqlDumper(), []
    with dumper.dump(context, url, dumper.tool(context, url)) as dump:
        while piece := dump.read(_PIECE):
            pieces.append(piece)
        inventory = dump.inventory()
    return b"".join(pieces), inventory


def fed(sink: Writer, text: bytes) -> None:
    """Write a dump piece by piece."""
    for start in range(0, len(text), _PIECE):
        sink.write(text[start : start + _PIECE])


def manifest(inventory: Inventory, database: str, tool: str = "mariadb-dump") -> Manifest:
    """Return the manifest of a backup with this content."""
    return Manifest(
        id="20261121T093000Z-3fa2c1",
        app="shop",
        environment="production",
        engine="mysql",
        database=database,
        created="2026-11-21T09:30:00+00:00",
        seconds=1.0,
        archive="20261121T093000Z-3fa2c1.sql.zst",
        size=1,
        sha256="",
        plain_size=1,
        plain_sha256="",
        recipients=(),
        tool=tool,
        inventory=inventory,
    )


def tables(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, invisible columns and the past included."""
    found = {}
    _do(connection, "set time_zone = '+00:00'")
    for name, kind in _do(
        connection, "show full tables where table_type not in ('VIEW', 'SEQUENCE')"
    ):
        columns = [
            f"`{row[0]}`".replace("`" + row[0] + "`", _quoted(row[0]))
            for row in _do(connection, f"show columns from {_quoted(name)}")
        ]
        past = kind == "SYSTEM VERSIONED"
        wanted = [*columns, *(["row_start", "row_end"] if past else [])]
        statement = f"select {', '.join(wanted)} from {_quoted(name)}"
        rows = _do(connection, statement + (" for system_time all" if past else ""))
        found[name] = sorted(rows, key=repr)
    return found


def definitions(connection: Connection) -> dict[str, str]:
    """Return the definitions of all tables, sequences and views."""
    found = {}
    for name, kind in _do(connection, "show full tables"):
        word = "view" if kind == "VIEW" else "table"
        found[name] = str(_do(connection, f"show create {word} {_quoted(name)}")[0][1])
        if kind == "SEQUENCE":
            found[name] += str(_do(connection, f"select * from {_quoted(name)}"))
    return found


def code(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """Return all routines, triggers and events with everything that changes how they run."""
    found = {}
    routines = _do(
        connection,
        "select routine_type, routine_name from information_schema.routines"
        " where routine_schema = database()",
    )
    for kind, name in routines:
        row = _do(connection, f"show create {kind} {_quoted(name)}")[0]
        found[f"{kind} {name}"] = row
    for (name,) in _do(
        connection,
        "select trigger_name from information_schema.triggers where trigger_schema = database()",
    ):
        # Without the time of its creation.
        found[f"trigger {name}"] = _do(connection, f"show create trigger {_quoted(name)}")[0][:6]
    for (name,) in _do(
        connection,
        "select event_name from information_schema.events where event_schema = database()",
    ):
        found[f"event {name}"] = _do(connection, f"show create event {_quoted(name)}")[0]
    return {key: tuple(_plain(each) for each in row) for key, row in found.items()}


def _plain(value: Any) -> Any:
    # The dump ends some bodies with a blank.
    return re.sub(r"\s+\Z", "", value) if isinstance(value, str) else value


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _do(connection: pymysql.connections.Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
