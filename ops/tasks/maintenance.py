"""maintenance.cleanup, maintenance.optimize: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=ADMIN, kind="maintenance")
def cleanup(call: Invocation) -> Report:
    """Delete rows that are older than the retention rules [cleanup.NAME] allow, in small batches that wait for nobody.

    Whole partitions are dropped. A run ends at the rule's ceilings of rows and time; the next one goes on. A dry run
    counts rows. A time without zone is read as UTC.
    """
    from ops.database import cleanup as retention
    from ops.database.cleanup_look import Count
    from ops.hosts import envlock

    counts: dict[str, Count] = {}
    report = call.operate(retention.plan, lock=envlock.of, counts=counts)
    return retention.announce(report, call.settings.name)


@task(
    level=WRITE,
    kind="maintenance",
    limited=True,
    help={"retry_after": "Seconds that clients are told to wait (default: 300)."},
)
def on(call: Invocation, retry_after: str = "300") -> Report:
    """Answer every request with 503 and Retry-After, from the proxy; requests that are there end first."""
    from ops.deploy.compose import front
    from ops.hosts import envlock

    return call.operate(front.on, lock=envlock.of, retry_after=retry_after)


@task(level=WRITE, kind="maintenance", limited=True)
def off(call: Invocation) -> Report:
    """Serve again after `maintenance.on`."""
    from ops.deploy.compose import front
    from ops.hosts import envlock

    return call.operate(front.off, lock=envlock.of)


@task(level=WRITE, kind="maintenance")
def optimize(call: Invocation) -> Report:
    """Vacuum, analyse and rebuild indexes concurrently where the database's own counters say so, worst first.

    From which share on is [maintenance] of ops.toml, and so is the time for one table. Nobody is locked out: never
    VACUUM FULL. A table that somebody holds is left to the next run; the exit code is 1 then.
    """
    from ops.database import optimize as measured
    from ops.hosts import envlock

    return measured.concluded(call.operate(measured.Planner(), lock=envlock.of))
