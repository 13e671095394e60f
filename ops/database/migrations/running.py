"""What is pending, and its application: one runner at a time, nothing in the way, every migration recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from ops.database import mysql_url, sql
from ops.database.migrations import alembic, execute, lock, obstacles, session, sqlfiles
from ops.database.migrations.model import Entry, Migration, Source, words
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError


def entries(context: Context, source: Source, url: SecretStr) -> list[Entry]:
    """Return every migration of the files and of the database, in order.

    Raises:
        ConfigurationError: The migrations cannot be read, or have several heads.
        ConnectionFailed: The database does not answer.
    """
    if source.kind == "alembic":
        return alembic.entries(context, source, url)
    return sqlfiles.entries(source, url)


def pending(context: Context, source: Source, url: SecretStr) -> list[Migration]:
    """Return what is not applied, or not to its end, in order.

    Raises:
        ConfigurationError: The migrations cannot be read, an applied file was changed, or Alembic cannot go on.
        ConnectionFailed: The database does not answer.
    """
    found = entries(context, source, url)
    refuse_unusable(source, found)
    return waiting(found)


def waiting(found: Sequence[Entry]) -> list[Migration]:
    """Return the migrations that are not applied, or not to their end."""
    return [
        each.migration
        for each in found
        if each.migration is not None and each.state in ("pending", "running")
    ]


def refuse_unusable(source: Source, found: Sequence[Entry]) -> None:
    """Refuse to go on from an applied file that is another one now, or from a revision that Alembic does not know.

    Raises:
        ConfigurationError: Names the file, and shows the difference.
    """
    for each in found:
        if each.state == "changed" and each.migration is not None:
            raise ConfigurationError(
                f"{each.migration.file} was changed after it was applied",
                why=each.difference,
                hint="restore it and write a new migration",
            )
        # A file of SQL that is gone does not matter for the others: old ones are squashed.
        if each.state == "missing" and source.kind == "alembic":
            raise ConfigurationError(
                f"the database is at revision {each.id}, which has no file here",
                hint=f"take the commit that has it: git log --all -S{each.id}",
            )


def batches(source: Source, todo: Sequence[Migration]) -> list[list[Migration]]:
    """Group what is pending as it is applied: what is taken back together stands together."""
    if source.kind == "alembic":
        return [list(todo)] if todo else []
    return sqlfiles.batches(source, todo)


def apply(
    context: Context, source: Source, url: SecretStr, only: Sequence[str] | None = None
) -> list[Migration]:
    """Apply what is pending.

    Args:
        context: Surroundings.
        source: The migrations.
        url: The database, for the owner of its schema.
        only: Versions to apply; None for all.

    Returns:
        What was applied; less than asked for when another runner was faster.

    Raises:
        Busy: Another runner does not end, or a long transaction is in the way.
        StepFailed: A migration failed; a transaction of it is taken back.
        TimeLimitReached: The server was told how long it may take, and stopped the statement.
    """
    try:
        return _apply(context, source, url, only)
    except OpsError as error:
        if session.sqlstate(error) == session.CANCELED:
            context.deadline.check("applying migrations")
        raise


def _apply(
    context: Context, source: Source, url: SecretStr, only: Sequence[str] | None
) -> list[Migration]:
    with lock.hold(context, url):
        todo = [each for each in pending(context, source, url) if only is None or each.id in only]
        if not todo:
            return []
        if source.kind == "sql":
            sqlfiles.check(source, todo)
        if not mysql_url.is_mysql(url):
            _clear(context, url, todo)
        for batch in batches(source, todo):
            with _recorded(context, source, url, batch):
                _apply_batch(context, source, url, batch)
        return todo


def _clear(context: Context, url: SecretStr, todo: list[Migration]) -> None:
    """Refuse to queue behind a long transaction, and remove invalid indexes that a failed migration left."""
    with session.connect(context, url) as connection:
        obstacles.refuse(connection, words(todo))
        for each in obstacles.invalid(connection, words(todo)):
            context.note(f"removing invalid index {each.schema}.{each.name}")
            obstacles.remove(connection, each)


def _apply_batch(
    context: Context, source: Source, url: SecretStr, batch: Sequence[Migration]
) -> None:
    if source.kind == "sql":
        execute.apply(context, source, url, batch, context.run_id or context.actor)
        return
    again = all(each.transactional for each in batch)
    alembic.apply(context, source, url, batch[-1].id, again=again)


@contextlib.contextmanager
def _recorded(
    context: Context, source: Source, url: SecretStr, batch: Sequence[Migration]
) -> Iterator[None]:
    """Write a batch into `migration_history`, before and after; its migrations share their time."""
    history = context.history
    if history is None:
        yield
        return
    begun = [
        history.migration_begun(
            run_id=context.run_id,
            environment=context.settings.name,
            target=sql.describe(url),
            actor=context.actor,
            version=each.id,
            name=each.title,
            checksum=each.checksum,
            commit=source.commit,
        )
        for each in batch
    ]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OpsError):  # what failed first is what a person must see
            for record in begun:
                history.migration_ended(record, "failed")
        raise
    for record in begun:
        history.migration_ended(record, "done")
