"""Which hosts a deploy is about, and whether they are fit for it: decided before anything changes."""

from __future__ import annotations

import importlib
import shutil

from ops.deploy import finding
from ops.deploy.compose import survey
from ops.deploy.finding import HERE, Finding
from ops.hosts import home, machines
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed
from ops.kernel.settings import limit
from ops.kernel.settings.models import Settings

DOWN = "down"
"""Why a host is left out that does not answer."""


def ready(context: Context) -> Settings:
    """Return the settings for the hosts that are up.

    Args:
        context: Surroundings with the hosts that were asked for.

    Raises:
        ConnectionFailed: More hosts are down than `allow_down`, or all.
        OpsError: Something would break the deploy half-way: disk, engine, Compose, clock; or a host refuses us.
    """
    settings = context.settings
    machines.of(context)  # loads what speaks with hosts: two threads must not load the same
    asking = machines.begun(survey.ask, context)
    # What comes next takes as long to load as the hosts to answer.
    importlib.import_module("ops.deploy.compose.pipeline")
    importlib.import_module("ops.kernel.operate")
    found = asking.result()
    down = {name: e for name, e in found.failed.items() if isinstance(e, ConnectionFailed)}
    if (
        len(down) < len(found.failed)
        or len(down) > settings.environment.allow_down
        or not found.done
    ):
        found.complete()
    every = [here(settings)]
    for each in found.done.values():
        every += survey.findings(settings, each)
    finding.refuse(every, f"inv deploy.check --env {settings.name}")
    return limit.without(settings, dict.fromkeys(down, DOWN))


def here(settings: Settings) -> Finding:
    """Return whether this machine has room for releases and images."""
    path = home.of(settings).path
    while not path.exists():
        path = path.parent
    return survey.space(settings, HERE, shutil.disk_usage(path).free, f"df -h {path}")
