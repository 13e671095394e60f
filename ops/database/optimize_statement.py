"""One long statement of maintenance: its limits, its progress, and an end when it is asked to stop."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any, Final

from psycopg import sql as texts
from pydantic import SecretStr

from ops.database import sql
from ops.kernel.context import Context
from ops.kernel.errors import OpsError

LOCK_TIMEOUT: Final = "5s"
"""Nobody queues behind VACUUM or REINDEX CONCURRENTLY; a table that is locked for longer is left to the next run."""
_LOOK: Final = 1.0
_GONE_CLIENT: Final = "1s"
_CHECKS_CLIENT: Final = 140000  # version of the server from which it notices that a client is gone
_PROGRESS: Final = """
select phase, heap_blks_scanned, heap_blks_total from pg_stat_progress_vacuum where pid = %(pid)s
union all
select phase, blocks_done, blocks_total from pg_stat_progress_create_index where pid = %(pid)s
union all
select phase, sample_blks_scanned, sample_blks_total from pg_stat_progress_analyze where pid = %(pid)s"""
_HOLDER: Final = """
select a.pid, coalesce(nullif(a.application_name, ''), a.backend_type), a.state,
       extract(epoch from clock_timestamp() - a.xact_start)::float
from pg_locks l join pg_stat_activity a using (pid)
where l.relation = (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                    where n.nspname = %s and c.relname = %s)
  and l.database = (select oid from pg_database where datname = current_database())
  and l.granted and l.mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
order by 4 desc nulls last limit 1"""


def run(
    context: Context,
    url: SecretStr,
    text: texts.Composed,
    limit: float,
    table: texts.Identifier | None = None,
) -> None:
    """Run a statement in autocommit.

    Args:
        context: Gives deadline and progress.
        url: The database.
        text: The statement.
        limit: Seconds that it may take; the server ends it then.
        table: For REINDEX CONCURRENTLY: its lock must be free before. What the statement itself waits for then are
            running transactions; it keeps nobody waiting meanwhile.

    Raises:
        StepFailed: The table stays locked, or the time is used up.
        Interrupted: A signal came; the statement was cancelled.
    """
    name = "invops maintenance"
    with sql.connect(url, read_only=False, autocommit=True, application_name=name) as connection:
        if connection.info.server_version >= _CHECKS_CLIENT:
            _set(connection, "client_connection_check_interval", _GONE_CLIENT)
        _set(connection, "lock_timeout", LOCK_TIMEOUT)
        _set(connection, "statement_timeout", f"{limit * 1000:.0f}ms")
        if table is not None:
            lock = texts.SQL("lock table {} in share update exclusive mode").format(table)
            with connection.transaction():
                connection.execute(lock)
            _set(connection, "lock_timeout", "0")
        with ThreadPoolExecutor(1) as pool:
            _follow(context, url, connection, pool.submit(connection.execute, text))


def looking(url: SecretStr) -> AbstractContextManager[sql.Connection]:
    """Open a connection that only looks, and waits no longer for a table than the work does."""
    return sql.connect(url, read_only=True, lock_timeout=LOCK_TIMEOUT)


def holder(url: SecretStr, schema: str, table: str) -> str:
    """Return who holds a lock on a table that maintenance waits for, empty when nobody does any more."""
    with looking(url) as connection:
        row = connection.execute(_HOLDER.encode(), [schema, table]).fetchone()
    if row is None:
        return ""
    pid, program, state, age = row
    since = "" if age is None else f", for {age:.0f} s"
    return f"held by process {pid} ({program}, {state or 'state unknown'}{since})"


def _set(connection: sql.Connection, name: str, value: str) -> None:
    connection.execute("select set_config(%s, %s, false)", [name, value])


def _follow(context: Context, url: SecretStr, connection: sql.Connection, job: Future[Any]) -> None:
    pid = connection.info.backend_pid
    while not wait([job], timeout=_LOOK).done:
        try:
            context.deadline.check("maintaining the database")
            _tell(context, url, pid)
        except OpsError:
            connection.cancel_safe()
            wait([job])
            raise
    job.result()


def _tell(context: Context, url: SecretStr, pid: int) -> None:
    with looking(url) as connection:
        row = connection.execute(_PROGRESS.encode(), {"pid": pid}).fetchone()
    if row is not None:
        phase, done, total = row
        context.progress(str(phase), int(done), int(total))
