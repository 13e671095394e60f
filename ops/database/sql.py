"""Connections to PostgreSQL: one transaction a block, read-only unless changes are allowed, errors of our tree."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors, pq
from psycopg.rows import TupleRow
from pydantic import SecretStr

from ops.database import mysql_url
from ops.kernel import files, guard
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    OpsError,
    StepFailed,
)

Connection = psycopg.Connection[TupleRow]
CONNECT_SECONDS: Final = 10
# libpq takes what a URL leaves open from PGPORT, PGOPTIONS and the like: a shell's must not redirect a deploy.
_OPEN: Final = {
    "port": "5432",
    "options": " ",
    "sslmode": "prefer",
    "target_session_attrs": "any",
}
# Class 08: connection exceptions; 57P: shutdown and start-up of the server; 53300: too many connections.
_LOST: Final = ("08", "57P", "53300")


@contextlib.contextmanager
def connect(
    url: SecretStr,
    *,
    read_only: bool,
    lock_timeout: str = "",
    statement_timeout: str = "",
    application_name: str = "invops",
    autocommit: bool = False,
) -> Iterator[Connection]:
    """Open a connection for a block, in one transaction that is committed at its end.

    In a dry run and in a read task it is read-only whatever is asked, so the server itself refuses a change; a
    scratch server of our own may be changed.

    Args:
        url: URL of the database; `postgresql+driver://` is taken as well.
        read_only: Whether the server refuses changes.
        lock_timeout: How long a statement waits for a lock, in PostgreSQL's notation: "5s".
        statement_timeout: How long a statement may take, likewise.
        application_name: What the server shows in pg_stat_activity.
        autocommit: Each statement is its own transaction, for CREATE DATABASE.

    Raises:
        ConnectionFailed: The server does not answer, or refuses the credentials.
        ConfigurationError: This is no URL of a database.
        EffectRefused: A change in a dry run or a read task.
        NotPermitted: The user lacks a privilege.
        StepFailed: A statement failed.
    """
    what = describe(url)
    parameters = _OPEN | _parsed(url)
    parameters |= {"connect_timeout": CONNECT_SECONDS, "application_name": application_name}
    with translated(f"cannot use {what}"):
        with translated(f"cannot connect to {what}", connecting=True):
            connection = psycopg.connect(autocommit=autocommit, **parameters)
        with connection:
            scratch = files.in_scratch(Path(str(parameters.get("host") or "")))
            refuse = read_only or not (scratch or guard.may_change())
            connection.read_only = refuse
            options = {
                "lock_timeout": lock_timeout,
                "statement_timeout": statement_timeout,
                "default_transaction_read_only": "on" if refuse and autocommit else "",
            }
            for name, value in options.items():
                if value:
                    # For the transaction only: behind a pooler the session is somebody else's afterwards.
                    local = not autocommit
                    connection.execute("select set_config(%s, %s, %s)", [name, value, local])
            yield connection


@contextlib.contextmanager
def translated(what: str, *, connecting: bool = False) -> Iterator[None]:
    """Turn the driver's errors inside the block into errors of the tree.

    Args:
        what: What failed then, one line.
        connecting: The block only connects, so any failure is one of the connection.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _explained(what, error, connecting) from error


def in_transaction(connection: Connection) -> bool:
    """Say whether the transaction of the block still goes on: a statement such as COMMIT ends it."""
    return connection.info.transaction_status is not pq.TransactionStatus.IDLE


def describe(url: SecretStr) -> str:
    """Return where a URL leads, for a person: database, host and port, never user or password.

    Raises:
        ConfigurationError: This is no URL of a database.
    """
    if mysql_url.is_mysql(url):
        return mysql_url.describe(url)
    parts = _OPEN | _parsed(url)
    host = str(parts.get("host") or parts.get("hostaddr") or "this machine")
    place = host if host.startswith("/") else f"{host}:{parts['port']}"
    return f"database {parts.get('dbname', '')} on {place}"


def _parsed(url: SecretStr) -> dict[str, Any]:
    plain = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", url.get_secret_value())
    try:
        return dict(conninfo.conninfo_to_dict(plain))
    except psycopg.Error:
        # Neither the URL nor the driver's words: both may show the password.
        raise ConfigurationError(
            "the URL of the database is not valid",
            hint="postgresql://user:password@host:5432/name, special characters as %40",
        ) from None


def _explained(what: str, error: psycopg.Error, connecting: bool) -> OpsError:
    # The driver's own words about a connection have several lines.
    why = error.diag.message_primary or " ".join(str(error).split())
    state = error.sqlstate or ""
    if isinstance(error, errors.ReadOnlySqlTransaction):
        refused = NotPermitted if guard.may_change() else EffectRefused
        return refused(what, why=why)
    if isinstance(error, errors.InsufficientPrivilege):
        return NotPermitted(what, why=why, hint="grant it, or use another user")
    if isinstance(error, errors.LockNotAvailable):
        return StepFailed(
            what, why=why, hint="somebody holds the lock: look at pg_stat_activity, then try again"
        )
    lost = isinstance(error, psycopg.OperationalError) and (not state or state.startswith(_LOST))
    if connecting or lost:
        return ConnectionFailed(what, why=why, hint="is the server up? inv status")
    return StepFailed(what, why=why)
