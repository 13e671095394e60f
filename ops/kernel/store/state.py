"""The state database: SQLite in `.ops/`, or PostgreSQL for a team.

Connections are in autocommit: a single statement is a transaction of its own, several go through
`State.transaction`. One connection serves all threads of a process, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import sqlalchemy as sa

from ops.kernel import files, guard
from ops.kernel.errors import NotPermitted
from ops.kernel.store import failures
from ops.kernel.store.engine import Target, postgresql, sqlite
from ops.kernel.store.migrate import is_current, migrate, version

if TYPE_CHECKING:
    from ops.kernel.settings.models import Settings


class State:
    """An open state database.

    Args:
        engine: Makes the connection.
        place: The database for a person, without credentials.
    """

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self.place = place
        self.dialect = engine.dialect.name
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; the next call opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def rows(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Return all rows of a query."""
        with self._lock:
            try:
                return list(self._connected().execute(statement, values).all())
            except sa.exc.SQLAlchemyError as error:
                raise self._failed(error) from error

    def change(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> int:
        """Carry out one statement as a transaction; return the number of rows that it changed."""
        with self._lock:
            try:
                return int(self._connected().execute(statement, values).rowcount)
            except sa.exc.SQLAlchemyError as error:
                raise self._failed(error) from error

    def version(self) -> str | None:
        """Return the version of the schema, None when there is none."""
        with self._lock:
            try:
                return version(self._connected())
            except sa.exc.SQLAlchemyError as error:
                raise self._failed(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give a connection with a write transaction, committed at the end of the block."""
        with self._lock:
            try:
                connection = self._connected()
                # IMMEDIATE: a transaction that reads first could not wait for another writer later.
                begin = "BEGIN IMMEDIATE" if self.dialect == "sqlite" else "BEGIN"
                connection.exec_driver_sql(begin)
                try:
                    yield connection
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise
            except sa.exc.SQLAlchemyError as error:
                raise self._failed(error) from error

    def _connected(self) -> sa.Connection:
        # A signal that ended a statement in the middle leaves a connection that is good for nothing.
        if self._connection is not None and self._connection.invalidated:
            self._drop()
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _roll_back(self, connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except sa.exc.SQLAlchemyError:
            # The connection is gone, or the database took everything back by itself already.
            self._drop()

    def _failed(self, error: sa.exc.SQLAlchemyError) -> Exception:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            self._drop()
        return failures.of(error, self.place)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def open_state(settings: Settings, create: bool = True) -> State | None:
    """Open the state database of a project and bring it to this version's schema.

    Args:
        settings: `options.state_url`, else SQLite in `ops_folder`.
        create: Make it when it does not exist. In a read-only task that is refused, and so is
            every write.

    Returns:
        The state; None when there is none yet and `create` is false.

    Raises:
        ConfigurationError: A newer version wrote it, or the URL is of another kind.
        ConnectionFailed: The server does not answer.
        NotPermitted: The system or the server refuses.
    """
    options = settings.options
    if options.state_url is None:
        return open_target(sqlite(settings.ops_folder), create=create)
    return open_target(postgresql(options.state_url, options.state_admin_url), create=create)


def open_target(target: Target, create: bool = True) -> State | None:
    """Open one database; see `open_state`."""
    reading = guard.mode() is guard.Mode.READ
    if create:
        if reading:
            guard.effect(f"create {target.place}")
        if target.file is not None:
            files.make_record(target.file)
    elif not target.exists():
        return None
    state = State(target.engine(read_only=reading), target.place)
    try:
        schema = _schema(state, target)
        if schema == "none" and not create:
            state.close()
            return None
        if schema != "current":
            state.close()
            migrate(target)
    except BaseException:
        state.close()
        raise
    return state


def _schema(state: State, target: Target) -> Literal["none", "old", "current"]:
    try:
        found = state.version()
    except NotPermitted:
        if target.admin_url is None:
            raise
        # A role of the application that is new here: migrating grants it what it needs.
        return "old"
    if found is None:
        return "none"
    return "current" if is_current(found, target.place) else "old"
