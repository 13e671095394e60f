"""Bring the state database to this version's schema, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from ops.kernel.deadline import Deadline
from ops.kernel.errors import Busy, ConfigurationError
from ops.kernel.state_migrations import HEAD, REVISIONS
from ops.kernel.store import failures
from ops.kernel.store.engine import Target

_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.1
# Any number that other programs in the database do not use: the first bytes of "invops".
_ADVISORY_KEY = int.from_bytes(b"invops", "big")

_EXISTS = {
    "sqlite": sa.text("SELECT name FROM sqlite_master WHERE name = 'state_version'"),
    "postgresql": sa.text("SELECT to_regclass('state_version')"),
}
_VERSION = sa.text("SELECT version_num FROM state_version")


def version(connection: sa.Connection) -> str | None:
    """Return the schema's version, None for a database without ours."""
    if connection.execute(_EXISTS[connection.dialect.name]).scalar() is None:
        return None
    return connection.execute(_VERSION).scalar()


def is_current(found: str, place: str) -> bool:
    """Say whether a version is this one.

    Raises:
        ConfigurationError: It is of a newer invops.
    """
    if found not in REVISIONS:
        raise ConfigurationError(
            f"state database {place} has schema {found}",
            why=f"this invops knows up to {HEAD}",
            hint="use the newer invops that wrote it",
        )
    return found == HEAD


def migrate(target: Target) -> None:
    """Apply what is missing; when another process is at it, wait for it.

    Raises:
        Busy: The other one does not come to an end.
        OpsError: The database fails or refuses; it is left as it was.
    """
    # Alembic costs 0.1 s and is needed once.
    from ops.kernel.state_migrations import upgrade

    engine = target.owner_engine()
    try:
        with _lock_folder(target.file), engine.connect() as connection:
            if target.file is not None:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                _poll(lambda: _try_advisory_lock(connection), target.place)
                connection.exec_driver_sql("BEGIN")
            upgrade.upgrade(connection)
            if target.admin_url is not None and target.url.username != target.admin_url.username:
                upgrade.grant(connection, str(target.url.username))
            connection.exec_driver_sql("COMMIT")
    except sa.exc.SQLAlchemyError as error:
        raise failures.of(error, target.place) from error


def _try_advisory_lock(connection: sa.Connection) -> bool:
    # Polled: a waiting pg_advisory_lock holds a snapshot. The lock ends with the session.
    return bool(
        connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_ADVISORY_KEY})").scalar()
    )


@contextlib.contextmanager
def _lock_folder(file: Path | None) -> Iterator[None]:
    """Keep other processes away from the SQLite file; the lock ends with this process."""
    if file is None:
        yield
        return
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        _poll(lambda: _try_flock(handle), str(file))
        yield
    finally:
        os.close(handle)


def _try_flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _poll(taken: Callable[[], bool], place: str) -> None:
    deadline = Deadline(_LOCK_SECONDS)
    while not taken():
        if deadline.remaining() <= 0:
            raise Busy(
                f"state database {place} is being migrated by another process", hint="try again"
            )
        time.sleep(_POLL_SECONDS)
