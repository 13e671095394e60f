"""The releases of an environment as a table."""

from __future__ import annotations

import time
from dataclasses import asdict

from ops.deploy import targets
from ops.deploy.releases import Release
from ops.kernel.context import Context
from ops.kernel.report import Report, Table


def releases(context: Context) -> Report:
    """List releases, newest first, with the one that serves."""
    settings = context.settings
    found = targets.releases(context)
    if not found.records:
        return Report(
            f"{settings.name} has no release yet",
            hints=(f"inv deploy --env {settings.name}",),
            data={"releases": []},
        )
    states = {each.id: _state(each, found) for each in found.records}
    rows = [
        (each.id, _shown(each, states[each.id]), _time(each), each.ref, each.actor)
        for each in found.records
    ]
    data = [{**asdict(each), "state": states[each.id]} for each in found.records]
    table = Table(("release", "state", "deployed", "ref", "by"), rows)
    return Report("", tables=(table,), data={"environment": settings.name, "releases": data})


def _state(release: Release, found: targets.Releases) -> str:
    where = [name for name, each in found.serving.items() if each == release.id]
    if where:
        everywhere = len(where) == len(found.serving)
        return "serves" if everywhere else f"serves on {', '.join(where)}"
    if not release.good:
        return "never served"
    why = found.lacks.get(release.id, "")
    if why:
        return f"cannot serve again: {why}"
    return "good" if release.id in found.back else "left by a rollback"


def _shown(release: Release, state: str) -> str:
    return state + (f", not on {', '.join(release.left_out)}" if release.left_out else "")


def _time(release: Release) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(release.created))
