"""Runs SQL files: each exactly once, whatever fails and whatever is killed when."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from pydantic import SecretStr

from ops.database import sql
from ops.database.migrations import files, ledger, obstacles, session
from ops.database.migrations.files import File
from ops.database.migrations.ledger import Ledger, Record
from ops.database.migrations.model import Migration, Source, words
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError

# What CREATE and DROP answer when the run before was killed between their effect and its record.
_DONE_BEFORE = {
    "42P07": "create",
    "42P04": "create",
    "42710": "create",
    "42704": "drop",
    "3D000": "drop",
}


def apply(
    context: Context, source: Source, url: SecretStr, batch: Sequence[Migration], run: str
) -> None:
    """Apply the files of one batch; the lock is ours.

    Raises:
        OpsError: One failed: those of a shared transaction are taken back together.
    """
    by_version = {each.migration.id: each for each in files.read(source)}
    chosen = [
        replace(by_version[each.id], migration=each) for each in batch if each.id in by_version
    ]
    with session.connect(context, url) as connection:
        if all(each.migration.transactional for each in chosen):
            session.patiently(context, lambda: _together(context, connection, source, chosen, run))
            return
        tables = ledger.ensure(connection, source)
        for each in chosen:
            _alone(context, connection, tables, each, run)


def _together(
    context: Context, connection: sql.Connection, source: Source, chosen: Sequence[File], run: str
) -> None:
    with connection.transaction():
        tables = ledger.ensure(connection, source)
        for each in chosen:
            context.note(each.path.name)
            session.fresh(context, connection)
            for statement in each.statements:
                session.run(context, connection, each, statement)
            session.fresh(context, connection)
            tables.end(connection, each, run)


def _alone(
    context: Context, connection: sql.Connection, tables: Ledger, file: File, run: str
) -> None:
    """Carry a file out statement by statement, each recorded with its effect, or right after it if it must be."""
    context.note(f"{file.path.name}, statement by statement")
    record = tables.records(connection).get(file.migration.id)
    done = _resumed(file, record)
    again = record is not None
    tables.begin(connection, file, run, done)
    for number in range(done, len(file.statements)):
        work = partial(_one, context, connection, tables, file, number, again)
        with _cleaned_up(connection, file):
            if sql.in_transaction(
                connection
            ):  # of the file's own: one statement of it cannot be tried again
                work()
            else:
                session.patiently(context, work)
        again = False
    session.fresh(context, connection)
    with connection.transaction():
        tables.end(connection, file, run)


def _one(
    context: Context,
    connection: sql.Connection,
    tables: Ledger,
    file: File,
    number: int,
    again: bool,
) -> None:
    statement = file.statements[number]
    inside = sql.in_transaction(connection)
    bare = files.must_stand_alone(statement) or files.controls_transaction(statement)
    if not inside and not bare:
        with connection.transaction():
            session.run(context, connection, file, statement)
            tables.step(connection, file, number + 1)
        return
    if inside and files.ends_transaction(statement):
        tables.step(connection, file, number + 1)
    with _without_hurry(connection, files.is_concurrent(statement)):
        try:
            session.run(context, connection, file, statement)
        except OpsError as error:
            verb = _DONE_BEFORE.get(session.sqlstate(error), "")
            if not (again and verb and statement.text.lower().startswith(verb)):
                raise
            context.note(f"{file.path.name}, line {statement.line}: was done before")
    if not sql.in_transaction(connection):
        tables.step(connection, file, number + 1)


def _resumed(file: File, record: Record | None) -> int:
    """Return how many statements of a file are done already.

    Raises:
        ConfigurationError: They are other ones now.
    """
    if record is None or record.done or not record.statements_done:
        return 0
    if record.text:
        before = files.statements_of(record.text)[: record.statements_done]
        now = file.statements[: record.statements_done]
        if [each.text for each in before] != [each.text for each in now]:
            raise ConfigurationError(
                f"{file.path.name}: the first {record.statements_done} statements are carried out, and were changed",
                hint="restore them; change only what comes after",
            )
    return record.statements_done


@contextlib.contextmanager
def _without_hurry(connection: sql.Connection, needed: bool) -> Iterator[None]:
    """Let CONCURRENTLY wait for other transactions as long as the statement may take: nobody queues behind it."""
    if not needed:
        yield
        return
    row = connection.execute("select current_setting('lock_timeout')").fetchone()
    connection.execute("set lock_timeout = 0")
    try:
        yield
    finally:
        if row is not None:
            connection.execute("select set_config('lock_timeout', %s, false)", [row[0]])


@contextlib.contextmanager
def _cleaned_up(connection: sql.Connection, file: File) -> Iterator[None]:
    """Remove what a CONCURRENTLY left that failed; if that fails too, the next run does it."""
    try:
        yield
    except OpsError:
        with contextlib.suppress(Exception):
            if sql.in_transaction(connection):
                connection.rollback()
            for each in obstacles.invalid(connection, words([file.migration])):
                obstacles.remove(connection, each)
        raise
