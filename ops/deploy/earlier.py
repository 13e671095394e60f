"""Which earlier release may serve again: a good one that works with the database as it is now."""

from __future__ import annotations

from ops.deploy import gate, releases, safeguard
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Settings


def choose(settings: Settings, serving: str, to: str) -> releases.Release:
    """Return the release to go back to.

    Args:
        settings: Of the environment.
        serving: Release that serves now, empty for none.
        to: Release id, or the beginning of a commit; empty for the last good one before `serving`.

    Raises:
        ConfigurationError: There is none.
    """
    good = [each for each in releases.all_of(settings) if each.good]
    hint = f"inv releases --env {settings.name}"
    if to:
        matching = [each for each in good if each.id == to or each.commit.startswith(to)]
        if not matching:
            raise ConfigurationError(f"{to} is not a good release of {settings.name}", hint=hint)
        return matching[0]
    current = next((each.sequence for each in good if each.id == serving), None)
    before = [
        each for each in good if each.id != serving and (current is None or each.sequence < current)
    ]
    if not before:
        raise ConfigurationError(
            f"there is no release before {serving or 'the first'} in {settings.name}", hint=hint
        )
    return before[0]


def refuse_incompatible(context: Context, release: releases.Release) -> None:
    """Refuse a release that does not work with the database as a newer one has migrated it.

    Raises:
        ConfigurationError: A migration that says breaks-old came after it, and is applied.
    """
    for each in releases.all_of(context.settings):
        newer = each.sequence > release.sequence and each.breaks_older
        if newer and gate.is_applied(context, each):
            raise ConfigurationError(
                f"{release.id} does not work with the database that {each.id} migrated",
                why="its migration says breaks-old",
                hint=f"deploy a fix, or go back to the database before it: {_way_back(context, each)}",
            )


def _way_back(context: Context, release: releases.Release) -> str:
    return safeguard.way_back(context, release.backup) if release.backup else "there is no backup"
