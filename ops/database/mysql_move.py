"""A database of MySQL gets another name, or another's place: there is no RENAME DATABASE.

Tables move to another database by RENAME TABLE, all of them in one statement that is atomic, foreign keys with them.
Views, triggers, routines and events are made anew there. So for readers of tables there is no moment without a whole
set of them; for a moment around it the code is missing: a call of a routine fails, a trigger does not fire.

What is about to be done is written into the destination first (table `invops_mark`), so a run that is killed anywhere
goes on where it was. The same table holds the mark of a database that is not in use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import SecretStr

from ops.database import mysql, mysql_code, mysql_url
from ops.database.mysql import Connection, quoted, rows
from ops.database.mysql_code import Piece

OWN: Final = "invops_mark"
"""Our own table in databases that are on their way; no backup holds it."""
LOCK_SECONDS: Final = 30
"""How long the RENAME waits for transactions that use a table."""
_TABLES: Final = (
    "select table_name from information_schema.tables where table_schema = %s"  # nosec B608
    f" and table_type <> 'VIEW' and table_name <> '{OWN}' order by table_name"
)


@dataclass(frozen=True)
class _Way:
    source: str
    target: str
    tables: list[str]
    code: list[Piece]


def marks(url: SecretStr) -> Mapping[str, str]:
    """Return the mark of every database of the server by its name, empty for none."""
    with mysql.connect(mysql_url.with_database(url, ""), read_only=True) as connection:
        names = rows(
            connection,
            "select schema_name from information_schema.schemata where schema_name not in"
            " ('information_schema', 'performance_schema', 'mysql', 'sys')",
        )
        return {str(name): _state(connection, str(name))[0] for (name,) in names}


def mark(url: SecretStr, database: str, text: str) -> None:
    """Give a database a mark, none when the text is empty."""
    with mysql.connect(mysql_url.with_database(url, ""), read_only=False) as connection:
        _mark(connection, database, text)


def move(url: SecretStr, ways: Sequence[tuple[str, str]], text: str) -> None:
    """Move the content of databases; each source but the first is gone afterwards, so is the first if nothing follows.

    Args:
        url: The server, for a role that may make databases.
        ways: Source and target. The first target is made; each later one is the source before it.
        text: Mark of the first target.

    Raises:
        StepFailed: Somebody uses a table longer than the RENAME waits, or code cannot be made.
        NotPermitted: The role may not do all that.
    """
    first, last = ways[0][1], ways[-1][0]
    if not mysql.has_database(url, first):
        mysql.make_database(url, first)
    server = mysql_url.with_database(url, "")
    with mysql.connect(server, read_only=False, lock_timeout=LOCK_SECONDS) as connection:
        known, intent = _state(connection, first)
        if intent is None and known != text:
            intent = [_look(connection, source, target) for source, target in ways]
            _write(connection, first, "", intent)
        if intent is not None:
            _carry_out(connection, intent)
            _write(connection, first, text, None)
        rows(connection, f"drop database if exists {quoted(last)}")


def _look(connection: Connection, source: str, target: str) -> _Way:
    return _Way(source, target, _tables(connection, source), mysql_code.read(connection, source))


def _carry_out(connection: Connection, ways: Sequence[_Way]) -> None:
    first, last = ways[0], ways[-1]
    waiting = [each for each in first.tables if each not in _tables(connection, first.target)]
    waiting += [each for each in last.tables if each in _tables(connection, last.source)]
    if waiting:
        for way in ways:
            mysql_code.drop(connection, way.source, way.code)
        moves = [
            f"{quoted(way.source)}.{quoted(each)} to {quoted(way.target)}.{quoted(each)}"
            for way in ways
            for each in way.tables
        ]
        rows(connection, f"rename table {', '.join(moves)}")
    for way in ways:
        mysql_code.make(connection, way.target, way.code)


def _tables(connection: Connection, database: str) -> list[str]:
    return [str(name) for (name,) in rows(connection, _TABLES, database)]


def _state(connection: Connection, database: str) -> tuple[str, list[_Way] | None]:
    """Return the mark of a database, and what was about to be moved into it."""
    there = "select 1 from information_schema.tables where table_schema = %s and table_name = %s"
    if not rows(connection, there, database, OWN):
        return "", None
    table = f"{quoted(database)}.{OWN}"
    found = rows(connection, f"select mark, intent from {table}")  # nosec B608
    if not found:  # killed before it was written
        return "", None
    text, intent = found[0]
    return str(text), _ways(json.loads(intent)) if intent else None


def _ways(data: Sequence[Mapping[str, Any]]) -> list[_Way]:
    return [_Way(**{**each, "code": [Piece(**piece) for piece in each["code"]]}) for each in data]


def _mark(connection: Connection, database: str, text: str) -> None:
    if text:
        _write(connection, database, text, None)
    else:
        rows(connection, f"drop table if exists {quoted(database)}.{OWN}")


def _write(connection: Connection, database: str, text: str, intent: Sequence[_Way] | None) -> None:
    table = f"{quoted(database)}.{OWN}"
    columns = "id int primary key, mark text not null, intent longtext"
    rows(connection, f"create table if not exists {table} ({columns}) character set utf8mb4")
    body = None if intent is None else json.dumps([asdict(each) for each in intent])
    rows(connection, f"replace into {table} values (1, %s, %s)", text, body)
    connection.commit()
