"""One runner of migrations at a time for each database, from whatever machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr

from ops.database import mysql, mysql_url, sql
from ops.database.migrations.files import excerpt
from ops.hosts import polling
from ops.kernel.context import Context
from ops.kernel.errors import Busy, ConfigurationError

RUNNER: Final = "invops migrate"
"""Name of the session that holds, or wants, the lock, in pg_stat_activity."""
WORKER: Final = "invops migration"
"""Name of the sessions that change the schema under the lock."""
# Advisory locks belong to a database, so every database can have the same number: "invops-m".
_KEY: Final = int.from_bytes(b"invops-m", "big")
_POLL: Final = 0.2
_NAME_BYTES: Final = 63

_HOLDER: Final = """select a.pid, a.application_name, a.usename, coalesce(host(a.client_addr), 'this machine')
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and (l.classid::bigint << 32) | l.objid::bigint = %s"""
_LEFT: Final = """select pid, application_name, usename, query from pg_stat_activity
    where datname = current_database() and application_name like %s"""


@contextlib.contextmanager
def hold(context: Context, url: SecretStr) -> Iterator[None]:
    """Hold the lock for a block, waiting for it as long as the context's time allows.

    The lock is tried again and again: a session that waits in `pg_advisory_lock` holds a snapshot, and CREATE INDEX
    CONCURRENTLY of the runner before would wait for that for ever.

    Raises:
        Busy: Another runner does not come to an end.
        ConfigurationError: A pooler stands in between, so no session is ours.
    """
    if mysql_url.is_mysql(url):
        with mysql.only_one(context, url, RUNNER):
            yield
        return
    name = f"{RUNNER} {context.actor} {context.run_id}".strip()
    with sql.connect(
        url, read_only=False, autocommit=True, application_name=_short(name)
    ) as connection:
        _refuse_pooler(connection, url)
        _take(context, connection)
        yield


def worker(context: Context) -> str:
    """Return the name of a session that works under the lock."""
    return _short(f"{WORKER} {context.actor} {context.run_id}".strip())


def _take(context: Context, connection: sql.Connection) -> None:
    told: set[str] = set()

    def try_lock() -> bool:
        row = connection.execute("select pg_try_advisory_lock(%s)", [_KEY]).fetchone()
        taken = row is not None and bool(row[0])
        # A killed runner's lock is gone at once; its last statement may still work on the server.
        who = _left(connection) if taken else _holder(connection)
        if taken and not who:
            return True
        if taken:
            connection.execute("select pg_advisory_unlock(%s)", [_KEY])
        if who and who not in told:
            told.add(who)
            context.note(f"waiting for {who}")
        return False

    if not polling.wait_for(try_lock, context.deadline, every=_POLL):
        who = _holder(connection) or _left(connection) or "another runner"
        raise Busy(
            f"the database is being migrated by {who}",
            why=f"it did not end within {context.deadline.seconds:g} s",
            hint="wait for it; if nobody does: select pg_terminate_backend(PID)",
        )


def _holder(connection: sql.Connection) -> str:
    return ", ".join(
        f"{name or 'a session'} (user {user}, process {pid}, from {host})"
        for pid, name, user, host in _rows(connection, _HOLDER, _KEY)
    )


def _left(connection: sql.Connection) -> str:
    return ", ".join(
        f"a statement that {name} left behind (user {user}, process {pid}): {excerpt(query or '', 80)}"
        for pid, name, user, query in _rows(connection, _LEFT, f"{WORKER}%")
    )


def _rows(connection: sql.Connection, query: str, value: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), [value]).fetchall()


def _refuse_pooler(connection: sql.Connection, url: SecretStr) -> None:
    """Refuse a pooler that gives a server's session to one transaction at a time: two of ours would share one."""
    served = _server_process(connection)
    if served == connection.info.backend_pid:
        return  # a pooler tells its clients numbers of its own
    with sql.connect(url, read_only=True) as other:
        if _server_process(other) == served:
            raise ConfigurationError(
                f"{sql.describe(url)} is a pooler in transaction mode",
                why="migrations need a session of their own for their lock",
                hint="set migration_url of the environment to the server itself",
            )


def _server_process(connection: sql.Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def _short(name: str) -> str:
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")
