"""What the lint is given and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Script:
    """One migration as SQL.

    Args:
        path: File as it is shown, e.g. "db/migrations/7_orders.sql".
        text: Its SQL.
        in_transaction: Whether the runner puts a transaction around it.
        breaks_old: Whether it declares that the release before it stops working.
    """

    path: str
    text: str
    in_transaction: bool
    breaks_old: bool


@dataclass(frozen=True, order=True)
class Finding:
    """Something unsafe.

    Args:
        file: `Script.path`.
        line: From 1.
        rule: Its name, for `-- invops: allow <rule> <reason>`.
        severity: `error` makes the lint fail, `warning` only with `--strict`.
        message: What happens.
        hint: The safe way.
    """

    file: str
    line: int
    rule: str
    severity: Severity
    message: str
    hint: str


@dataclass(frozen=True)
class LockedTable:
    """What one statement did to one table that was there before its migration.

    Args:
        file: `Script.path`.
        line: Of the statement.
        table: With its schema.
        mode: Strongest lock that it took, "ACCESS EXCLUSIVE"; empty when an earlier statement holds it already.
        rewrites: The table and those of its indexes that were written anew.
        scanned: Whether it read the whole table.
        rows: Rows it inserted, updated and deleted on the scratch server.
    """

    file: str
    line: int
    table: str
    mode: str
    rewrites: tuple[str, ...]
    scanned: bool
    rows: int


@dataclass(frozen=True)
class Trace:
    """What a scratch server showed.

    Args:
        locks: In the order of the statements.
        findings: Rewrites and scans under a lock, statements that fail, what could not be traced.
        ran: Paths of the pending migrations that ran to their end: PostgreSQL understands them.
    """

    locks: list[LockedTable]
    findings: list[Finding]
    ran: frozenset[str]
