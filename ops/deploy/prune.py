"""Remove what nothing needs any more: old releases, then environments and builds of no release."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ops.deploy import build, releases, static
from ops.hosts import home, supervisor
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import OpsError
from ops.kernel.settings.models import Settings
from ops.kernel.steps import step

_BY_HASH = re.compile(r"(.*-)?[0-9a-f]{16}(\.partial)?")
"""Names of environments and builds, which are ours to remove."""


@step(title="Remove old releases", limit=minutes(2))
def prune(context: Context, keep: list[str]) -> None:
    """Remove releases beyond `keep_releases`, then the environments and builds that no release uses.

    Args:
        context: Surroundings.
        keep: Releases that stay in any case: what serves, and what it came from.
    """
    tidy(context, set(keep))


def tidy(context: Context, keep: set[str]) -> None:
    """Remove releases, environments and builds of this machine; see `prune`."""
    settings = context.settings
    for each in superfluous(settings, keep):
        _remove(context, releases.folder(settings, each.id))
    for path in unused(context):
        _remove(context, path)


def superfluous(settings: Settings, keep: set[str]) -> list[releases.Release]:
    """Return the releases beyond `keep_releases`, never one of `keep`.

    A release whose migrations broke older ones stays as long as one of these: it says that they cannot serve.
    """
    everything = releases.all_of(settings)
    good = [each for each in everything if each.good][: settings.environment.keep_releases]
    kept = {each.id for each in good} | keep
    oldest = min((each.sequence for each in everything if each.id in kept), default=0)
    return [
        each
        for each in everything
        if each.id not in kept and not (each.breaks_older and each.sequence > oldest)
    ]


def unused(context: Context) -> list[Path]:
    """Return environments and builds that no release of any environment, no process and no work in progress uses."""
    settings = context.settings
    here = home.of(settings)
    names = [path.name for path in (here.path / "environments").glob("*")]
    known = [each for name in names for each in releases.all_of(settings, name)]
    used = {each.requirements for each in known} | _development(settings)
    used.add(static.environment_folder(context).name)  # also of an environment that is stopped
    built = {f"{name}-{key}" for each in known for name, key in each.builds.items()}
    candidates = [each for each in here.venvs.glob("*") if each.name not in used]
    candidates += [
        each for each in here.builds.glob("*") if each.name.removesuffix(".partial") not in built
    ]
    daemon = supervisor.daemon_of(context)
    running = json.dumps([daemon.definition(each.name) for each in daemon.programs()])
    return [
        each for each in candidates if _BY_HASH.fullmatch(each.name) and str(each) not in running
    ]


def _development(settings: Settings) -> set[str]:
    """Return the environment that `inv setup` makes for the working tree."""
    lock = settings.app_folder / settings.python.requirements if settings.python else None
    return {build.digest(lock.read_bytes())} if lock and lock.is_file() else set()


def _remove(context: Context, path: Path) -> None:
    try:
        files.remove(path)
        context.note(f"removed {path.name}")
    except OpsError as error:  # a release that serves well is not taken back for want of tidiness
        context.note(f"could not remove {path.name}: {error}")
