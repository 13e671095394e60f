"""lock.status, lock.release: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, READ, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=READ, kind="verification")
def status(call: Invocation) -> Report:
    """Show who holds the lock of an environment, since when, and whether the holder lives."""
    from ops.deploy import locking

    return locking.status(call.context())


@task(level=ADMIN, kind="deploy")
def release(call: Invocation) -> Report:
    """Take the lock of an environment away; asks unless its holder is dead."""
    from ops.deploy import locking

    return call.operate(locking.release)
