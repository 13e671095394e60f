"""Which database holds the state, and connections to it with the settings that its safety needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from ops.kernel.errors import ConfigurationError

WAIT_SECONDS = 30
"""How long a statement waits for another writer."""


@dataclass(frozen=True)
class Target:
    """A database, opened or not.

    Args:
        place: For a person, without credentials.
        url: Access of the application's role.
        admin_url: Access of the owner, None when the application's role is the owner.
        file: The SQLite file, None for PostgreSQL.
    """

    place: str
    url: sa.URL
    admin_url: sa.URL | None = None
    file: Path | None = None

    def exists(self) -> bool:
        """Say whether there is a file to open; what a server has is seen on connecting."""
        return self.file is None or self.file.is_file()

    def engine(self, *, read_only: bool = False) -> sa.Engine:
        """Return an engine for the application's role."""
        make = _postgresql_engine if self.file is None else _sqlite_engine
        return make(self.url, read_only)

    def owner_engine(self) -> sa.Engine:
        """Return an engine for the owner of the tables."""
        return (
            self.engine() if self.admin_url is None else _postgresql_engine(self.admin_url, False)
        )


def sqlite(folder: Path) -> Target:
    """Return the target for `state.db` in a project's private folder."""
    file = folder / "state.db"
    return Target(str(file), sa.URL.create("sqlite+pysqlite", database=str(file)), file=file)


def postgresql(url: SecretStr, admin_url: SecretStr | None = None) -> Target:
    """Return the target for a server.

    Raises:
        ConfigurationError: Not a URL of PostgreSQL.
    """
    own = _parsed("OPS_STATE_URL", url)
    admin = None if admin_url is None else _parsed("OPS_STATE_ADMIN_URL", admin_url)
    host = own.host or own.query.get("host") or "local socket"
    return Target(f"{own.database} on {host}{f':{own.port}' if own.port else ''}", own, admin)


def _parsed(variable: str, secret: SecretStr) -> sa.URL:
    try:
        url = sa.make_url(secret.get_secret_value())
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if (
        url is None
        or url.drivername not in ("postgres", "postgresql", "postgresql+psycopg")
        or not url.database
    ):
        raise ConfigurationError(
            f"{variable} is not the URL of a PostgreSQL database",
            hint=f"export {variable}=postgresql://USER:PASSWORD@HOST/DATABASE",
        )
    return url.set(drivername="postgresql+psycopg")


def _sqlite_engine(url: sa.URL, read_only: bool) -> sa.Engine:
    engine = _engine(url, timeout=WAIT_SECONDS, check_same_thread=False)

    def connected(connection: Any, _: object) -> None:
        # FULL: a commit survives a power loss also in WAL (source: sqlite.org/pragma.html).
        # recursive_triggers: else INSERT OR REPLACE deletes unseen by the audit table's trigger.
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        # A text that somebody made invalid must reach the audit's verification, not stop it.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")

    def invalidated(connection: Any, *_: object) -> None:
        # A signal ended a statement in the middle: closing alone would keep the lock on the file
        # as long as the exception's traceback holds the statement.
        connection.rollback()

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "invalidate", invalidated)
    return engine


def _postgresql_engine(url: sa.URL, read_only: bool) -> sa.Engine:
    engine = _engine(
        url,
        connect_timeout=10,
        application_name="invops",
        # A server that vanished is noticed within half a minute, not after two hours.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=25_000,
    )

    def connected(connection: Any, _: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        if read_only:
            connection.execute("SET default_transaction_read_only = on")

    sa.event.listen(engine, "connect", connected)
    return engine


def _engine(url: sa.URL, **arguments: Any) -> sa.Engine:
    return sa.create_engine(
        url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool, connect_args=arguments
    )
