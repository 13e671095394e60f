"""Where an environment runs decides what a deploy of it is made of: processes here, or containers on hosts."""

from __future__ import annotations

from ops.kernel.context import Context
from ops.kernel.plan import Plan
from ops.kernel.settings.models import Settings


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


def rollback(context: Context, to: str) -> Plan:
    """Plan the way back to an earlier release.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.
    """
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import pipeline as containers

        return containers.rollback(context, to)
    from ops.deploy import pipeline as processes

    return processes.rollback(context, to)


def ready(context: Context) -> Settings:
    """Return the settings for the hosts that are up, before a deploy or a rollback is planned.

    Raises:
        OpsError: A host is down, or something would break the deploy half-way.
    """
    if context.settings.environment.target != "compose":
        return context.settings
    from ops.deploy.compose import presence

    return presence.ready(context)


def serving(context: Context) -> str:
    """Return the release that serves, empty for none, or for hosts that differ."""
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import fleet

        return fleet.observe(context).release
    from ops.deploy import observe

    return observe.observe(context).release
