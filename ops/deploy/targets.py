"""Where an environment runs decides what a deploy of it is made of: processes here, or containers on hosts."""

from __future__ import annotations

from ops.kernel.context import Context
from ops.kernel.plan import Plan


def deploy(context: Context, ref: str) -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
    """
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import pipeline as containers

        return containers.deploy(context, ref)
    from ops.deploy import pipeline as processes

    return processes.deploy(context, ref)
