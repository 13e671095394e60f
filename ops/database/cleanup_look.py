"""Looks at what retention rules would remove: rows, partitions, and who else is touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from ops.database import cleanup_partitions, cleanup_rules, sql, target
from ops.database.cleanup_partitions import Partition
from ops.database.cleanup_rules import Subject
from ops.database.sql import Connection
from ops.kernel.context import Context
from ops.kernel.errors import StepFailed

COUNT_TIMEOUT: Final = "5s"
LOCK_TIMEOUT: Final = "5s"
_CANCELLED: Final = "57014"
_DAY: Final = 86400.0


@dataclass(frozen=True)
class Count:
    """How many rows are older than a rule allows.

    Args:
        rows: So many.
        exact: Whether they were counted; else the planner's estimate.
    """

    rows: int
    exact: bool

    def __str__(self) -> str:
        return f"{'' if self.exact else 'about '}{self.rows} row{'' if self.rows == 1 else 's'}"


@dataclass(frozen=True)
class Found:
    """What a rule would remove.

    Args:
        subject: The rule and its table.
        limit: The moment that decides, in ISO 8601; rows before it go.
        partitions: That go as a whole.
        count: Rows older than the limit, those of the partitions among them.
    """

    subject: Subject
    limit: str
    partitions: tuple[Partition, ...]
    count: Count

    @property
    def empty(self) -> bool:
        """Whether there is certainly nothing to remove."""
        return self.count == Count(0, exact=True) and not self.partitions


@contextlib.contextmanager
def connect(url: SecretStr, *, timeout: str, change: bool) -> Iterator[Connection]:
    """Connect with each statement its own transaction, none waiting for long.

    Args:
        url: URL of the database.
        timeout: How long a statement may take, in PostgreSQL's notation.
        change: Whether rows will be deleted.
    """
    with sql.connect(
        url,
        read_only=not change,
        lock_timeout=LOCK_TIMEOUT,
        statement_timeout=timeout,
        application_name="invops cleanup",
        autocommit=True,
    ) as connection:
        # Times go to the server and back as text: in other styles a zone can be ambiguous.
        connection.execute(b"select set_config('datestyle', 'ISO, YMD', false)")
        yield connection


def subject_of(context: Context, connection: Connection, rule: str) -> Subject:
    """Return a rule's table."""
    schemas = target.described(context).schemas
    return cleanup_rules.resolve(connection, rule, context.settings.cleanup[rule], schemas)


def limit_of(connection: Connection, subject: Subject) -> str:
    """Return the moment before which rows go, by the server's clock, in ISO 8601."""
    query = b"select now() - make_interval(secs => %s)"
    row = connection.execute(query, [subject.settings.keep]).fetchone()
    assert row is not None
    return str(row[0].isoformat())


def look(context: Context, url: SecretStr, counts: dict[str, Count]) -> list[Found]:
    """Look at every rule; all of them are held against the database before the first row is counted.

    Args:
        context: Gives the rules.
        url: URL of the database.
        counts: By rule; those that are there are taken, so that plan and execution speak of the same.
    """
    with connect(url, timeout="30s", change=False) as connection:
        subjects = [subject_of(context, connection, rule) for rule in context.settings.cleanup]
        limits = [limit_of(connection, each) for each in subjects]
        partitions = [
            tuple(cleanup_partitions.droppable(connection, subject, limit))
            for subject, limit in zip(subjects, limits, strict=True)
        ]
    for subject, limit in zip(subjects, limits, strict=True):
        if subject.rule not in counts:
            counts[subject.rule] = count(url, subject, limit)
    return [
        Found(subject, limit, whole, counts[subject.rule])
        for subject, limit, whole in zip(subjects, limits, partitions, strict=True)
    ]


def count(url: SecretStr, subject: Subject, limit: str) -> Count:
    """Count the rows before a moment; when that takes too long, ask the planner."""
    where = f"from {subject.rows} where {subject.column} < {subject.limit}"
    try:
        with connect(url, timeout=COUNT_TIMEOUT, change=False) as connection:
            query = f"select count(*) {where}"
            row = connection.execute(query.encode(), {"limit": limit}).fetchone()
            return Count(int(row[0]) if row else 0, exact=True)
    except StepFailed as error:
        if not timed_out(error):
            raise
    with connect(url, timeout="30s", change=False) as connection:
        query = f"explain (format json) select {where}"
        row = connection.execute(query.encode(), {"limit": limit}).fetchone()
        assert row is not None
        return Count(int(row[0][0]["Plan"]["Plan Rows"]), exact=False)


def timed_out(error: StepFailed) -> bool:
    """Say whether a statement was ended by its time limit."""
    return getattr(error.__cause__, "sqlstate", "") == _CANCELLED


def facts(found: Found) -> dict[str, str]:
    """Return what a person should know of a rule before saying yes."""
    subject, rule = found.subject, found.subject.rule
    age = f"older than {subject.settings.keep / _DAY:g} days ({subject.plain_column})"
    shown = {rule: f"{found.count} of {subject.table} {age}"}
    if found.partitions:
        number = len(found.partitions)
        shown[rule] += f", {number} partition{'' if number == 1 else 's'} dropped as a whole"
    if subject.cascades:
        shown[f"{rule}: also deletes"] = (
            f"rows of {', '.join(subject.cascades)} (ON DELETE CASCADE)"
        )
    if subject.nulls:
        shown[f"{rule}: also changes"] = f"references in {', '.join(subject.nulls)}"
    if subject.restricts:
        shown[f"{rule}: may be refused"] = (
            f"{', '.join(subject.restricts)} refers to it: a row that is still referred to stops its batch"
        )
    if subject.foreign:
        shown[f"{rule}: left alone"] = f"partitions on other servers: {', '.join(subject.foreign)}"
    slow = [each for each in subject.leaves if not each.indexed]
    if slow:
        more = f" (and {len(slow) - 1} more)" if len(slow) > 1 else ""
        shown[f"{rule}: slow"] = (
            f"no index begins with {subject.plain_column}{more}: "
            f"create index concurrently on {slow[0].table} ({subject.column})"
        )
    return shown
