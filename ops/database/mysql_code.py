"""The code in a database of MySQL: views, triggers, routines and events, which no RENAME moves to another database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymysql

from ops.database.mysql import Connection, quoted, rows, translated

_KINDS: Final = {
    "event": "select event_name, 'event' from information_schema.events where event_schema = %s",
    "trigger": "select trigger_name, 'trigger' from information_schema.triggers where trigger_schema = %s"
    " order by event_object_table, action_timing, event_manipulation, action_order",
    "view": "select table_name, 'view' from information_schema.views where table_schema = %s",
    "routine": "select routine_name, lower(routine_type) from information_schema.routines"
    " where routine_schema = %s order by routine_type",
}
# In the order in which they can be made: a view may call a function, a trigger needs its table.
_ORDER: Final = ("function", "procedure", "package", "package body", "view", "trigger", "event")
# Columns of SHOW CREATE: statement, client's character set, its collation, SQL mode, time zone.
_COLUMNS: Final = {"view": (1, 2, 3, None, None), "event": (3, 4, 5, 1, 2)}
_USUAL: Final = (2, 3, 4, 1, None)


@dataclass(frozen=True)
class Piece:
    """One of them.

    Args:
        kind: "view", "trigger", "function", "procedure", "package", "package body" or "event".
        name: Its name.
        statement: What makes it.
        client: Character set that the statement is in.
        collation: Of its literals.
        sql_mode: In force when it runs.
        time_zone: Of an event's times.
    """

    kind: str
    name: str
    statement: str
    client: str
    collation: str
    sql_mode: str = ""
    time_zone: str = ""


def read(connection: Connection, database: str) -> list[Piece]:
    """Return all code of a database in the order in which it can be made."""
    found = []
    with _within(connection, database):
        for query in _KINDS.values():
            for name, kind in rows(connection, query, database):
                shown = rows(connection, f"show create {kind} {quoted(str(name))}")[0]
                found.append(_piece(str(kind), str(name), shown))
    return sorted(found, key=lambda each: _ORDER.index(each.kind))


def drop(connection: Connection, database: str, pieces: Sequence[Piece]) -> None:
    """Remove code from a database; what is gone is no error."""
    before = rows(connection, "select @@sql_mode")[0][0]
    for each in reversed(pieces):
        if each.kind != "package body":  # goes with its package
            # MariaDB knows the word package in the mode in which it was made only.
            rows(connection, "set session sql_mode = %s", each.sql_mode)
            place = f"{quoted(database)}.{quoted(each.name)}"
            rows(connection, f"drop {each.kind} if exists {place}")
    rows(connection, "set session sql_mode = %s", before)


def make(connection: Connection, database: str, pieces: Sequence[Piece]) -> None:
    """Make code in a database; what is there already is made again.

    Raises:
        StepFailed: The server refuses one, e.g. a view of something that is not there.
        NotPermitted: It belongs to another user and this one may not make it for others.
    """
    drop(connection, database, pieces)
    waiting = list(pieces)
    with _within(connection, database):
        while waiting:
            # A view may use another one that comes later.
            left = [each for each in waiting if not _made(connection, each)]
            if len(left) == len(waiting):
                with translated(f"cannot make {left[0].kind} {left[0].name}"):
                    _run(connection, left[0])
            waiting = left


def _piece(kind: str, name: str, shown: Sequence[Any]) -> Piece:
    columns = _COLUMNS.get(kind, _USUAL)
    texts = ["" if column is None else str(shown[column]) for column in columns]
    return Piece(kind, name, *texts)


@contextlib.contextmanager
def _within(connection: Connection, database: str) -> Iterator[None]:
    """Use a database as the current one, whose names need no qualification; the session's own settings come back."""
    names = "sql_mode", "time_zone", "character_set_client", "collation_connection"
    ((*before,),) = rows(connection, f"select {', '.join(f'@@{each}' for each in names)}")
    rows(connection, f"use {quoted(database)}")
    # As mysqldump reads them: with names in backticks.
    rows(connection, "set session sql_mode = ''")
    try:
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            rows(connection, f"set session {name} = %s", value)


def _made(connection: Connection, piece: Piece) -> bool:
    try:
        _run(connection, piece)
    except pymysql.Error:
        return False
    return True


def _run(connection: Connection, piece: Piece) -> None:
    settings = {
        "sql_mode": piece.sql_mode,
        "time_zone": piece.time_zone or "SYSTEM",
        "character_set_client": piece.client,
        "collation_connection": piece.collation,
    }
    # Each by itself, the client's character set last: these statements are in the connection's own.
    before = rows(connection, "select @@character_set_client")[0][0]
    for name in ("sql_mode", "time_zone", "collation_connection", "character_set_client"):
        rows(connection, f"set session {name} = %s", settings[name])
    try:
        encoding = pymysql.charset.charset_by_name(piece.client).encoding
        connection.query(piece.statement.encode(encoding))
    finally:
        rows(connection, "set session character_set_client = %s", before)
