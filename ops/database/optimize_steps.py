"""The steps of `inv maintenance.optimize`: one statement each, which looks first and is left out when it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql as texts

from ops.database import optimize_bloat, optimize_need, optimize_statement, sql, target
from ops.database.migrations import obstacles
from ops.database.optimize_bloat import Index
from ops.database.optimize_need import Table
from ops.hosts import home
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import NotPermitted, StepFailed
from ops.kernel.steps import Done, step

MARGIN: Final = 60.0
"""Seconds of a step beside its statement: for locks, and for what a broken rebuild left."""
_LIMIT: Final = minutes(10)  # in place of the configured one that a plan gives
_LOCKED: Final = "55P03"
_CANCELLED: Final = "57014"


@dataclass(frozen=True)
class Outcome:
    """What became of one table or index.

    Args:
        what: Its name.
        skipped: Why it was left as it is, empty when it was not.
        before: Bytes of an index, dead rows of a table.
        after: The same, after.
    """

    what: str
    skipped: str
    before: int
    after: int


def floors(context: Context) -> dict[str, list[float]]:
    """Return what indexes were estimated at when they had just been rebuilt, by name with the relfilenode."""
    try:
        return dict(json.loads(_file(context).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # only a memory: without it an index is rebuilt once more
        return {}


def _vacuumed(
    context: Context, schema: str, table: str, reason: str, freeze: bool = False
) -> Done | None:
    now = _table(context, schema, table)
    if now is None:
        return Done("the table is gone")
    due = now.vacuum(context.settings.maintenance) or (freeze and now.freeze())
    return None if due else Done("needs it no more", Outcome(now.shown, "", now.dead, now.dead))


@step(title="Vacuum {schema}.{table}: {reason}", limit=_LIMIT, check=_vacuumed, interruptible=True)
def vacuum(context: Context, schema: str, table: str, reason: str, freeze: bool = False) -> Outcome:
    """Remove dead rows, freeze old ones, and analyse: a vacuum without new statistics is half of it."""
    before = _table(context, schema, table)
    options = texts.SQL("freeze, analyze" if freeze else "analyze")
    text = texts.SQL("vacuum ({}) {}").format(options, texts.Identifier(schema, table))
    skipped = _tried(context, schema, table, text)
    after = _table(context, schema, table)
    if not skipped and after and (after.vacuum(context.settings.maintenance) or after.freeze()):
        skipped = _kept(context)
    return Outcome(
        f"{schema}.{table}", skipped, before.dead if before else 0, after.dead if after else 0
    )


def _analysed(context: Context, schema: str, table: str, reason: str) -> Done | None:
    now = _table(context, schema, table)
    if now is None:
        return Done("the table is gone")
    due = now.analyse(context.settings.maintenance)
    return None if due else Done("needs it no more", Outcome(now.shown, "", now.dead, now.dead))


@step(title="Analyse {schema}.{table}: {reason}", limit=_LIMIT, check=_analysed, interruptible=True)
def analyse(context: Context, schema: str, table: str, reason: str) -> Outcome:
    """Refresh the planner's statistics."""
    text = texts.SQL("analyze {}").format(texts.Identifier(schema, table))
    return Outcome(f"{schema}.{table}", _tried(context, schema, table, text), 0, 0)


def _rebuilt(context: Context, schema: str, table: str, name: str, reason: str) -> Done | None:
    now = _index(context, schema, table, name)
    if now is None:
        return Done("the index is gone, or its size is not known any more")
    with _looking(context) as connection:
        due, _ = optimize_bloat.measured(connection, [now], context.settings.maintenance.bloat)
    return None if due else Done("needs it no more", Outcome(now.shown, "", now.size, now.size))


@step(
    title="Rebuild {schema}.{name} beside itself: {reason}",
    limit=_LIMIT,
    check=_rebuilt,
    interruptible=True,
)
def reindex(context: Context, schema: str, table: str, name: str, reason: str) -> Outcome:
    """Rebuild an index while everybody goes on reading and writing."""
    before = _index(context, schema, table, name)
    text = texts.SQL("reindex index concurrently {}").format(texts.Identifier(schema, name))
    try:
        skipped = _tried(context, schema, table, text, texts.Identifier(schema, table))
    finally:
        _sweep(context, lambda each: each.schema == schema and each.table == table)
    after = _index(context, schema, table, name)
    if not skipped and after is not None:
        known = {**floors(context), after.shown: [after.file, after.estimate]}
        path = _file(context)
        files.make_folder(path.parent, mode=0o755)
        files.write(path, json.dumps(known, indent=1))
    return Outcome(
        f"{schema}.{name}", skipped, before.size if before else 0, after.size if after else 0
    )


def _nothing_left(context: Context) -> Done | None:
    with _looking(context) as connection:
        left = [each for each in obstacles.invalid(connection, []) if each.rebuilt]
    return None if left else Done("there is none")


@step(
    title="Remove invalid copies of indexes that broken rebuilds left",
    limit=minutes(5),
    check=_nothing_left,
)
def sweep(context: Context) -> None:
    """Remove them: they are written with each row and never read."""
    _sweep(context, lambda each: True)


def _sweep(context: Context, chosen: Callable[[obstacles.Invalid], bool]) -> None:
    url = target.owner_url(context)
    with sql.connect(
        url,
        read_only=False,
        autocommit=True,
        lock_timeout=optimize_statement.LOCK_TIMEOUT,
        statement_timeout=f"{MARGIN:.0f}s",
    ) as connection:
        for each in obstacles.invalid(connection, []):
            if each.rebuilt and chosen(each):
                context.note(f"removes {each.schema}.{each.name}")
                obstacles.remove(connection, each)


def _tried(
    context: Context,
    schema: str,
    table: str,
    text: texts.Composed,
    lock: texts.Identifier | None = None,
) -> str:
    """Run a statement; return why the server refused it, empty when it did not: the others go on."""
    url, limit = target.owner_url(context), context.settings.maintenance.table_limit
    try:
        optimize_statement.run(context, url, text, limit, lock)
    except (StepFailed, NotPermitted) as error:
        state = str(getattr(error.__cause__, "sqlstate", None) or "")
        if state == _LOCKED:
            return f"it is locked, {optimize_statement.holder(url, schema, table) or 'no more now'}"
        if state == _CANCELLED:
            return f"not done within {limit:g} s ([maintenance] table_limit)"
        return error.why or error.what
    return ""


def _looking(context: Context) -> AbstractContextManager[sql.Connection]:
    return optimize_statement.looking(target.owner_url(context))


def _kept(context: Context) -> str:
    with _looking(context) as connection:
        oldest = optimize_need.oldest(connection)
    return f"its dead rows stay while {oldest}" if oldest else "its dead rows stay"


def _table(context: Context, schema: str, table: str) -> Table | None:
    with _looking(context) as connection:
        return next(iter(optimize_need.tables(connection, [schema], table)), None)


def _index(context: Context, schema: str, table: str, name: str) -> Index | None:
    with _looking(context) as connection:
        tables = optimize_need.tables(connection, [schema], table)
        found = optimize_bloat.indexes(connection, tables, floors(context))
    return next((each for each in found if each.name == name), None)


def _file(context: Context) -> Path:
    settings = context.settings
    return home.of(settings).environment(settings.name) / "optimize.json"
