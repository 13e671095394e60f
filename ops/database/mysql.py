"""Connections to MySQL and MariaDB: a transaction a block, read-only unless changes are allowed, our own errors."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pymysql
from pydantic import SecretStr

from ops.database import mysql_url
from ops.database.mysql_url import describe
from ops.kernel import files, guard
from ops.kernel.context import Context
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    OpsError,
    StepFailed,
)

__all__ = [
    "Connection",
    "connect",
    "describe",
    "drop_database",
    "has_database",
    "identity",
    "make_database",
    "only_one",
    "quoted",
    "rows",
    "server_version",
    "translated",
]

Connection: TypeAlias = "pymysql.connections.Connection[pymysql.cursors.Cursor]"
CONNECT_SECONDS: Final = 10
# Numbers of errors (source: MariaDB and MySQL, mysqld_error.h and errmsg.h).
_UNKNOWN_DATABASE: Final = {1049}
_FORBIDDEN: Final = {1044, 1095, 1142, 1143, 1227, 1290, 1356, 1370, 1410, 1419}
_READ_ONLY: Final = {1792, 1836}
_LOCKED: Final = {1205, 1213, 3572}
_LOST: Final = {1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1927, *range(2000, 2020)}


@contextlib.contextmanager
def connect(url: SecretStr, *, read_only: bool, lock_timeout: int = 0) -> Iterator[Connection]:
    """Open a connection for a block, in one transaction that is committed at its end.

    In a dry run and in a read task every transaction of the session is read-only whatever is asked, so the server
    itself refuses a change; a scratch server of our own may be changed.

    Args:
        url: URL of the database, or of a server without one.
        read_only: Whether the server refuses changes.
        lock_timeout: Seconds that a statement waits for a lock of a row or a table; 0 for the server's own.

    Raises:
        ConnectionFailed: The server does not answer, or refuses the credentials.
        ConfigurationError: This is no URL of MySQL, or there is no such database.
        EffectRefused: A change in a dry run or a read task.
        NotPermitted: The user lacks a privilege.
        StepFailed: A statement failed.
    """
    what, parts = describe(url), mysql_url.parse(url)
    with translated(f"cannot use {what}"):
        with translated(f"cannot connect to {what}", connecting=True):
            connection = _open(parts)
        try:
            scratch = bool(parts.socket) and files.in_scratch(Path(parts.socket))
            if read_only or not (scratch or guard.may_change()):
                rows(connection, "set session transaction read only")
            for name in ("lock_wait_timeout", "innodb_lock_wait_timeout") if lock_timeout else ():
                rows(connection, f"set session {name} = %s", lock_timeout)
            yield connection
            connection.commit()
        finally:
            # Whatever was not committed is rolled back by the server.
            with contextlib.suppress(pymysql.Error):
                connection.close()


def rows(connection: Connection, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
    """Run a statement and return its rows, none for one that gives no rows."""
    with connection.cursor() as cursor:
        # Without values a % in the statement is a %.
        cursor.execute(statement, values or None)
        return cursor.fetchall()


@contextlib.contextmanager
def translated(what: str, *, connecting: bool = False) -> Iterator[None]:
    """Turn the driver's errors inside the block into errors of the tree.

    Args:
        what: What failed then, one line.
        connecting: The block only connects, so any failure is one of the connection.
    """
    try:
        yield
    except pymysql.Error as error:
        raise _explained(what, error, connecting) from error


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return f"`{name.replace('`', '``')}`"


def server_version(connection: Connection) -> str:
    """Return the server's version, e.g. "10.11.19-MariaDB" or "8.0.40"."""
    ((text,),) = rows(connection, "select version()")
    number, _, rest = str(text).partition("-")
    return f"{number}-MariaDB" if "mariadb" in rest.lower() else number


def identity(connection: Connection) -> str:
    """Return what a database is whatever URL leads to it: its server and its name.

    MySQL has @@server_uuid. MariaDB has nothing like it that every user may read, so there it is a hash of the
    machine's name, the data folder, the port and the socket, as the server itself sees them.
    """
    ((database, version),) = rows(connection, "select coalesce(database(), ''), version()")
    if "mariadb" in str(version).lower():
        (parts,) = rows(connection, "select @@hostname, @@datadir, @@port, @@socket")
        text = "\n".join(map(str, parts))
        server = hashlib.sha256(text.encode()).hexdigest()[:32]
    else:
        ((server,),) = rows(connection, "select @@server_uuid")
    return f"{server}/{database}"


@contextlib.contextmanager
def only_one(context: Context, url: SecretStr, name: str) -> Iterator[None]:
    """Hold a lock of a database for a block, from whatever machine; it ends with its connection.

    Raises:
        Busy: Another one holds it as long as the context's time allows to wait.
    """
    # Locks belong to the server, their names have up to 64 characters.
    lock = f"{name} {hashlib.sha256(mysql_url.parse(url).database.encode()).hexdigest()[:16]}"
    with connect(url, read_only=True) as connection:
        while rows(connection, "select get_lock(%s, 1)", lock)[0][0] != 1:
            if context.deadline.remaining() <= 1:
                ((holder,),) = rows(connection, "select is_used_lock(%s)", lock)
                raise Busy(
                    f"somebody else holds the lock {name!r} of {describe(url)}",
                    why=f"connection {holder} of the server",
                    hint="SHOW PROCESSLIST says who; try again when it has ended",
                )
            context.deadline.check(f"waiting for the lock {name!r}")
        yield


def has_database(url: SecretStr, name: str) -> bool:
    """Say whether the server has a database that this user can see."""
    with connect(mysql_url.with_database(url, ""), read_only=True) as connection:
        found = "select 1 from information_schema.schemata where schema_name = %s"
        return bool(rows(connection, found, name))


def make_database(url: SecretStr, name: str) -> SecretStr:
    """Make an empty database with character set and collation of the one that `url` names; return its URL.

    Raises:
        StepFailed: There is one of this name.
        NotPermitted: The user may not create databases.
    """
    with connect(mysql_url.with_database(url, ""), read_only=False) as connection:
        own = mysql_url.parse(url).database
        like = "select default_character_set_name, default_collation_name"
        found = rows(
            connection, f"{like} from information_schema.schemata where schema_name = %s", own
        )
        character = (
            f"character set {found[0][0]} collate {found[0][1]}"
            if found
            else "character set utf8mb4"
        )
        rows(connection, f"create database {quoted(name)} {character}")
    return mysql_url.with_database(url, name)


def drop_database(url: SecretStr, name: str) -> None:
    """Remove a database with everything in it; one that is gone is no error."""
    with connect(mysql_url.with_database(url, ""), read_only=False) as connection:
        rows(connection, f"drop database if exists {quoted(name)}")


def _open(parts: mysql_url.Parts) -> Connection:
    secured: dict[str, Any] = {
        key.removeprefix("ssl_"): value for key, value in parts.options if key.startswith("ssl_")
    }
    try:
        return pymysql.connect(
            user=parts.user,
            password=parts.password.get_secret_value(),
            database=parts.database or None,
            host=parts.host,
            port=parts.port,
            unix_socket=parts.socket or None,
            # Without `ssl_ca`: encrypted where the server can, unchecked, as the vendor's programs do it.
            ssl=None if parts.socket else {"check_hostname": bool(secured), **secured},
            connect_timeout=CONNECT_SECONDS,
            charset="utf8mb4",
        )
    except pymysql.OperationalError as error:
        # The driver leaves the socket of a failed attempt to the garbage collector (PyMySQL 1.2, Connection.connect).
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            traceback.clear_frames(error.__traceback__)
        raise
    except RuntimeError as error:  # a password that may only go over an encrypted connection
        raise ConnectionFailed(
            f"cannot connect to {parts.place}",
            why=str(error),
            hint="let the server offer TLS, or connect by its Unix socket: ?unix_socket=/path",
        ) from error


def _explained(what: str, error: pymysql.Error, connecting: bool) -> OpsError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    why = str(error.args[1] if len(error.args) > 1 else error).strip() or "the connection is closed"
    if number in _READ_ONLY:
        refused = NotPermitted if guard.may_change() else EffectRefused
        return refused(what, why=why)
    if number in _UNKNOWN_DATABASE:
        return ConfigurationError(what, why=why, hint="correct the name in the URL, or create it")
    if number in _FORBIDDEN:
        return NotPermitted(what, why=why, hint="grant it, or use another user")
    if number in _LOCKED:
        return StepFailed(
            what, why=why, hint="somebody holds the lock: look at SHOW PROCESSLIST, then try again"
        )
    if connecting or number in _LOST or isinstance(error, pymysql.err.InterfaceError):
        return ConnectionFailed(
            what, why=why, hint="is the server up, and are user and password right?"
        )
    return StepFailed(what, why=why)
