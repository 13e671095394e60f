"""A connection that runs migrations: limits on waiting, and errors that show statement, line and the server's words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops.database import sql
from ops.database.migrations import lock
from ops.database.migrations.files import File, excerpt
from ops.database.statements import Statement
from ops.kernel.context import Context
from ops.kernel.errors import OpsError

LOCK_TIMEOUT = "5s"
"""A migration waits this long for a lock, then steps back: the queue behind it is the outage (strong_migrations)."""
LOCK_NOT_AVAILABLE: Final = "55P03"
CANCELED: Final = "57014"
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_MILLISECONDS: Final = 1000


@contextlib.contextmanager
def connect(context: Context, url: SecretStr) -> Iterator[sql.Connection]:
    """Open a connection in autocommit that waits for locks and statements only so long.

    Raises:
        OpsError: See `sql.connect`.
    """
    with sql.connect(
        url, read_only=False, autocommit=True, application_name=lock.worker(context)
    ) as connection:
        fresh(context, connection)
        yield connection


def fresh(context: Context, connection: sql.Connection) -> None:
    """Take back what a file set for the session, such as search_path or a role, and set the limits again."""
    connection.execute("reset all")
    connection.execute("reset role")
    left = max(1, int(context.deadline.remaining() * _MILLISECONDS))
    for name, value in (
        ("client_encoding", "UTF8"),
        ("lock_timeout", LOCK_TIMEOUT),
        ("statement_timeout", f"{left}ms"),
    ):
        connection.execute("select set_config(%s, %s, false)", [name, value])


def run(context: Context, connection: sql.Connection, file: File, statement: Statement) -> None:
    """Run one statement of a file.

    Raises:
        OpsError: It failed; says where and why.
    """
    context.deadline.check(f"running {file.path.name}")
    try:
        with sql.translated(f"{file.path.name} failed"):
            connection.execute(statement.text.encode())
    except OpsError as error:
        raise _explained(file, statement, error) from error.__cause__


def patiently(context: Context, work: Callable[[], None]) -> None:
    """Do something again when it did not get a lock in time, until the context's time is used up.

    Raises:
        OpsError: Whatever else failed, or the last time-out.
    """

    def told(state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action else 0
        context.note(f"a lock was not free within {LOCK_TIMEOUT}; again in {pause:.1f} s")

    def used_up(state: RetryCallState) -> bool:
        pause = state.next_action.sleep if state.next_action else _LONGEST_PAUSE
        return context.deadline.remaining() <= pause

    Retrying(
        retry=retry_if_exception(lambda error: sqlstate(error) == LOCK_NOT_AVAILABLE),
        wait=wait_random_exponential(multiplier=_SHORTEST_PAUSE, max=_LONGEST_PAUSE),
        stop=used_up,
        before_sleep=told,
        reraise=True,
    )(work)


def sqlstate(error: BaseException) -> str:
    """Return the server's code behind an error of the tree, empty when there is none."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")


def _explained(file: File, statement: Statement, error: OpsError) -> OpsError:
    diagnosis: Any = getattr(error.__cause__, "diag", None)
    position = str(getattr(diagnosis, "statement_position", None) or "")
    line = statement.line
    if position.isdigit():
        line += statement.text[: int(position) - 1].count("\n")
    detail = getattr(diagnosis, "message_detail", None)
    hint = getattr(diagnosis, "message_hint", None)
    more = [f"detail: {detail}"] if detail else []
    more += [f"server's hint: {hint}"] if hint else []
    why = "\n  ".join([error.why, f"line {line}: {excerpt(statement.text)}", *more])
    return type(error)(f"{file.path.name} failed", why=why, hint=error.hint)
