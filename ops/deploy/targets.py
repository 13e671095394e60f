"""Where an environment runs decides what a deploy of it is made of: processes here, or containers on hosts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.kernel.context import Context
from ops.kernel.plan import Plan
from ops.kernel.settings.models import Settings

if TYPE_CHECKING:
    from ops.deploy.releases import Release


def deploy(context: Context, ref: str, override: str = "") -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
        override: Reason to do it against the environment's policy, empty for none.
    """
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import pipeline as containers

        return containers.deploy(context, ref, override)
    from ops.deploy import pipeline as processes

    return processes.deploy(context, ref, override)


def rollback(context: Context, to: str, override: str = "") -> Plan:
    """Plan the way back to an earlier release.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.
        override: Reason to do it against the environment's policy, empty for none.
    """
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import pipeline as containers

        return containers.rollback(context, to, override)
    from ops.deploy import pipeline as processes

    return processes.rollback(context, to, override)


def ready(context: Context) -> Settings:
    """Return the settings for the hosts that are up, before a deploy or a rollback is planned.

    Raises:
        OpsError: A host is down, or something would break the deploy half-way.
    """
    if context.settings.environment.target != "compose":
        return context.settings
    from ops.deploy.compose import presence

    return presence.ready(context)


@dataclass(frozen=True)
class Releases:
    """The releases of an environment.

    Args:
        records: Newest first.
        serving: By host: the release that serves there.
        lacks: Why a release cannot serve again, by release.
        back: Releases on the way back from what serves, see `earlier.way_back`; a rollback left the other good ones.
    """

    records: Sequence[Release]
    serving: Mapping[str, str]
    lacks: Mapping[str, str]
    back: Collection[str]


def releases(context: Context) -> Releases:
    """Return the releases: those that the hosts of containers keep, else those of this machine."""
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import fleet

        now = fleet.observe(context)
        serving = {each.name: each.release for each in now}
        lacks = {each.id: now.unproved(each.id) for each in now.records}
        return Releases(now.records, serving, lacks, _back(now.records, now.last))
    from ops.deploy import observe
    from ops.deploy.releases import all_of

    here, known = observe.observe(context), all_of(context.settings)
    return Releases(known, {"": here.release}, {}, _back(known, {here.last}))


def _back(known: Sequence[Release], last: Collection[str]) -> set[str]:
    """Return the releases on the way back from what serves or served last on any host."""
    from ops.deploy import earlier

    return {each.id for start in last or {""} for each in earlier.way_back(known, start)}


def unproved(context: Context, release: str) -> str:
    """Return why a release cannot count as one that served well everywhere, empty when it did."""
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import fleet

        return fleet.observe(context).unproved(release)
    from ops.deploy import releases as local

    known = local.known(context.settings, release)
    if known is None:
        return "it was not deployed there"
    return "" if known.good else "it never served well there"


def note_migrations(context: Context, release: str, ids: list[str], breaks_older: bool) -> None:
    """Tell the hosts, which keep the records of releases, what is about to be migrated."""
    if context.settings.environment.target == "compose":
        from ops.deploy.compose import kept

        kept.mark(context, release, {"migrations": ids, "breaks_older": breaks_older})
