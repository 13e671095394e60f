"""The releases of an environment as a table."""

from __future__ import annotations

import time
from dataclasses import asdict

from ops.deploy import targets
from ops.deploy.releases import Release, all_of
from ops.kernel.context import Context
from ops.kernel.report import Report, Table


def releases(context: Context) -> Report:
    """List releases, newest first, with the one that serves."""
    settings = context.settings
    serving = targets.serving(context)
    found = all_of(settings)
    if not found:
        return Report(
            f"{settings.name} has no release yet",
            hints=(f"inv deploy --env {settings.name}",),
            data={"releases": []},
        )
    rows = [(each.id, _shown(each, serving), _time(each), each.ref, each.actor) for each in found]
    data = [{**asdict(each), "state": _state(each, serving)} for each in found]
    table = Table(("release", "state", "deployed", "ref", "by"), rows)
    return Report("", tables=(table,), data={"environment": settings.name, "releases": data})


def _state(release: Release, serving: str) -> str:
    if release.id == serving:
        return "serves"
    return "good" if release.good else "never served"


def _shown(release: Release, serving: str) -> str:
    missing = f", not on {', '.join(release.left_out)}" if release.left_out else ""
    return _state(release, serving) + missing


def _time(release: Release) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(release.created))
