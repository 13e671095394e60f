"""The audit trail as reports."""

from __future__ import annotations

from dataclasses import asdict
from typing import TextIO

from ops.kernel import exits, records
from ops.kernel.audit import Audit, Head, Verdict
from ops.kernel.errors import ConfigurationError
from ops.kernel.report import Report, Table
from ops.kernel.run_report import page
from ops.kernel.store import State


def recent(state: State | None, limit: str, before: str) -> Report:
    """Return the newest records.

    Args:
        state: None when nothing was ever recorded.
        limit: How many, 1 to 1000.
        before: Only older than this number, empty for the newest.
    """
    count = page(limit)
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise ConfigurationError(f"--before {before!r} is not a number", hint="--before 100")
    found = Audit(state).rows(count, int(before) if before else None) if state else []
    columns = ("number", "time (UTC)", "actor", "action", "target", "result")
    rows = [
        (str(row.sequence), row.at[:19], row.actor, row.action, row.target, row.result)
        for row in found
    ]
    more = len(found) == count and found[-1].sequence > 1
    return Report(
        "" if found else "nothing is recorded",
        tables=(Table(columns, rows),) if found else (),
        hints=(f"inv audit.list --before {found[-1].sequence}",) if more else (),
        data={"records": [asdict(row) for row in found]},
    )


def verify(state: State | None, head: str) -> Report:
    """Return whether the trail is as it was written.

    Args:
        state: None when nothing was ever recorded.
        head: One that was exported before, as NUMBER:HASH; empty for none.
    """
    exported = Head.parse(head) if head else None
    if state is not None:
        verdict = Audit(state).verify(exported)
    elif exported is None or exported == Head():
        verdict = Verdict(True, 0, None, "", Head())
    else:
        reason = f"there is no trail; the exported head is {exported.sequence}"
        verdict = Verdict(False, 0, 1, reason, Head())
    data = asdict(verdict) | {"head": str(verdict.head)}
    if not verdict.ok:
        where = f" at record {verdict.broken_at}" if verdict.broken_at else ""
        return Report(
            f"the audit trail is broken{where}",
            status="error",
            facts={"why": verdict.reason},
            hints=("keep the database as it is, and compare it with an export or a backup",),
            data=data,
            exit_code=exits.GENERAL,
        )
    unseen = (
        () if exported else ("keep the head elsewhere: only `--head NUMBER:HASH` finds a cut end",)
    )
    return Report(
        f"the audit trail is sound: {verdict.rows} records",
        facts={"head": str(verdict.head)},
        hints=unseen,
        data=data,
    )


def export(state: State | None, stream: TextIO) -> None:
    """Write all records as lines of JSON, the head last.

    Args:
        state: None when nothing was ever recorded.
        stream: Where to.
    """
    if state is not None:
        Audit(state).export(stream)
    else:
        stream.write(records.canonical({"head": asdict(Head())}) + "\n")
