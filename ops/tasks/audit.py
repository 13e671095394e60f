"""audit.list, audit.verify, audit.export: arguments only.

Numbers are taken as texts: Invoke answers a wrong one with a traceback.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from ops.kernel.task import READ, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(
    level=READ,
    kind="verification",
    name="list",
    help={
        "limit": "How many records (default: 20, at most 1000).",
        "before": "Only records older than this number.",
    },
)
def list_records(call: Invocation, limit: str = "20", before: str = "") -> Report:
    """List who did what to which target, newest first."""
    from ops.kernel import audit_report

    with call.state() or nullcontext() as state:
        return audit_report.recent(state, limit, before)


@task(
    level=READ,
    kind="verification",
    help={"head": "Head that was exported before, NUMBER:HASH; it also finds a cut end."},
)
def verify(call: Invocation, head: str = "") -> Report:
    """Check that nobody changed the audit trail, and say where it is broken."""
    from ops.kernel import audit_report

    with call.state() or nullcontext() as state:
        return audit_report.verify(state, head)


@task(level=READ, kind="verification")
def export(call: Invocation) -> None:
    """Write the audit trail as lines of JSON, the head of its chain last."""
    from ops.kernel import audit_report

    with call.state() or nullcontext() as state:
        audit_report.export(state, call.out)
