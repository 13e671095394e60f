"""proxy.status: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import READ, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=READ, kind="verification", limited=True)
def status(call: Invocation) -> Report:
    """Show slots, weights, sessions and errors as the proxies of the hosts count them."""
    from ops.deploy.compose import front

    return front.status(call.context())
