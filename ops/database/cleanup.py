"""inv maintenance.cleanup: rows that are older than a retention rule allows are deleted, in small transactions.

Nothing has to be remembered between runs: whatever stopped one, the next looks at what is there and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import SecretStr

from ops.database import cleanup_batches, cleanup_look, cleanup_partitions, roles, sql, target
from ops.database.cleanup_look import Count, Found
from ops.database.cleanup_rules import Subject
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConnectionFailed, OpsError, StepFailed
from ops.kernel.plan import Plan, Step
from ops.kernel.report import Report, Table
from ops.kernel.steps import Done, step

_BATCH_TIMEOUT: Final = "60s"
_DETACH_TIMEOUT: Final = "10min"
_AROUND: Final = 120.0
"""Seconds beside a rule's own time: its last batch and the look around it."""
_REFERRED_TO: Final = "23503"
_MORE: Final = "inv maintenance.cleanup --env {}"


@dataclass(frozen=True)
class Deleted:
    """What a rule removed.

    Args:
        rows: Deleted in batches.
        left: Why more is left, empty when nothing is.
        compatible: Irreversible, and yet it stops no undo: nothing depends on these rows.
    """

    rows: int
    left: str = ""
    compatible: bool = True


@dataclass(frozen=True)
class Dropped:
    """A partition that was dropped."""

    partition: str
    compatible: bool = True


def plan(context: Context, counts: dict[str, Count]) -> Plan:
    """Plan the clean-up of an environment's database by all rules.

    Args:
        context: Surroundings.
        counts: Takes the number of rows by rule; a second call speaks of the same, although rows grow old meanwhile.
    """
    environment = context.settings.name
    if not context.settings.cleanup:
        why = "ops.toml has no retention rule [cleanup.NAME]"
        return Plan("cleanup", environment, "", (), nothing=why)
    roles.refuse_mysql(context, "maintenance.cleanup", "delete old rows by an event of the server")
    url = target.owner_url(context)
    every = cleanup_look.look(context, url, counts)
    found = [each for each in every if not each.empty]
    where = sql.describe(url)
    if not found:
        why = f"no row of {where} is older than its rule allows"
        return Plan("cleanup", environment, where, (), nothing=why)
    facts = {key: value for each in found for key, value in cleanup_look.facts(each).items()}
    return Plan(
        "cleanup",
        environment,
        where,
        tuple(one for each in found for one in _steps(each)),
        {"rules": {each.subject.rule: each.subject.oid for each in found}},
        {**facts, "undo": "none: what is deleted comes back from a backup only"},
        destructive=True,
    )


def announce(report: Report, environment: str) -> Report:
    """Add to the report of a finished run what each rule removed."""
    results: Mapping[str, Any] = report.data.get("results") or {}
    rows, left = [], []
    for name, result in results.items():
        kind, _, rule = name.partition(":")
        if kind == "delete" and result:
            rows.append((rule, str(result["rows"]), result["left"] or "nothing"))
            left += [rule] if result["left"] else []
        elif result:
            rows.append((rule.partition("/")[0], result["partition"], "dropped"))
    if not rows:
        return report
    table = Table(("rule", "removed", "left"), rows)
    hints = (*report.hints, *([f"more is left: {_MORE.format(environment)}"] if left else []))
    return replace(report, tables=(*report.tables, table), hints=hints)


def _steps(found: Found) -> list[Step]:
    rule, settings = found.subject.rule, found.subject.settings
    made = [
        drop.step(f"{rule}/{each.table}", id="drop", rule=rule, partition=each.table)
        for each in found.partitions
    ]
    # Rows of the partitions are counted as well, so a table may be left without any: then it finds none.
    limit = settings.most_time + _AROUND
    return [*made, delete.step(rule, limit=limit, rule=rule, expected=found.count.rows)]


def _is_gone(context: Context, rule: str, partition: str) -> Done | None:
    url = target.owner_url(context)
    with cleanup_look.connect(url, timeout="30s", change=False) as connection:
        there = cleanup_partitions.exists(connection, partition)
    return None if there else Done("it is gone", Dropped(partition))


@step(
    title="{rule}: drop partition {partition}",
    limit=minutes(15),
    check=_is_gone,
    interruptible=True,
    irreversible=True,
)
def drop(context: Context, rule: str, partition: str) -> Dropped:
    """Detach and drop a partition that lies wholly before the limit."""
    url = target.owner_url(context)
    with cleanup_look.connect(url, timeout=_DETACH_TIMEOUT, change=True) as connection:
        subject = cleanup_look.subject_of(context, connection, rule)
        limit = cleanup_look.limit_of(connection, subject)
        now = cleanup_partitions.droppable(connection, subject, limit)
        if partition not in {each.table for each in now}:
            raise StepFailed(
                f"{partition} may not be dropped any more", hint="run it again and look at the plan"
            )
        cleanup_partitions.drop(connection, subject, partition, limit)
    return Dropped(partition)


@step(title="{rule}: delete old rows", limit=minutes(30), interruptible=True, irreversible=True)
def delete(context: Context, rule: str, expected: int) -> Deleted:
    """Delete the rows of a rule until none is left or a ceiling is reached.

    Args:
        context: Surroundings.
        rule: Name of the rule.
        expected: How many rows there are to delete, for the progress.

    Raises:
        StepFailed: A batch was refused; those before it stay deleted.
    """
    work = _Work(context, target.owner_url(context), rule, expected)
    try:
        return work.run()
    except ConnectionFailed as error:
        raise ConnectionFailed(
            f"cleanup {rule}: {error.what}",
            why=f"{error.why}; {work.so_far}",
            hint="the next run goes on: " + _MORE.format(context.settings.name),
        ) from error
    except StepFailed as error:
        raise _explained(error, rule, work) from error


@dataclass
class _Work:
    """A rule on its way."""

    context: Context
    url: SecretStr
    rule: str
    expected: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def so_far(self) -> str:
        return f"{self.done} rows were deleted before"

    def run(self) -> Deleted:
        with cleanup_look.connect(self.url, timeout=_BATCH_TIMEOUT, change=True) as connection:
            subject = cleanup_look.subject_of(self.context, connection, self.rule)
            limit = cleanup_look.limit_of(connection, subject)
            ceiling = self._batches(connection, subject, limit)
            left = bool(ceiling) and self._more(connection, subject, limit)
        return Deleted(self.done, ceiling if left else "")

    def _batches(self, connection: sql.Connection, subject: Subject, limit: str) -> str:
        """Delete batch by batch; return the ceiling that was reached, empty for none."""
        for leaf in subject.leaves:
            for gone in cleanup_batches.delete(connection, subject, leaf, limit, self._size):
                self.done += gone
                self.context.deadline.check(f"cleaning up {self.rule}")
                self.context.progress(f"{self.done} rows", self.done, max(self.expected, self.done))
                if self.done >= subject.settings.most_rows:
                    return f"ceiling of {subject.settings.most_rows} rows a run"
                if time.monotonic() - self.began >= subject.settings.most_time:
                    return f"ceiling of {subject.settings.most_time:g} s a run"
                if gone:
                    time.sleep(min(subject.settings.pause, self.context.deadline.remaining()))
        return ""

    def _size(self) -> int:
        settings = self.context.settings.cleanup[self.rule]
        return max(1, min(settings.batch, settings.most_rows - self.done))

    def _more(self, connection: sql.Connection, subject: Subject, limit: str) -> bool:
        where = f"from {subject.rows} where {subject.column} < {subject.limit}"
        query = f"select exists (select {where})"
        row = connection.execute(query.encode(), {"limit": limit}).fetchone()
        return bool(row and row[0])


def _explained(error: StepFailed, rule: str, work: _Work) -> OpsError:
    if getattr(error.__cause__, "sqlstate", "") == _REFERRED_TO:
        return StepFailed(
            f"cleanup {rule}: a batch was refused, rows of it are still referred to",
            why=f"{error.why}; {work.so_far}",
            hint="put a rule for the referring table before this one, or make its key ON DELETE CASCADE",
        )
    if cleanup_look.timed_out(error):
        return StepFailed(
            f"cleanup {rule}: a batch took longer than {_BATCH_TIMEOUT}",
            why=work.so_far,
            hint="a smaller `batch`, an index on the column, or one on the columns that refer to the table",
        )
    return StepFailed(
        f"cleanup {rule}: {error.what}", why=f"{error.why}; {work.so_far}", hint=error.hint
    )
