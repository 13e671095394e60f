"""Which earlier release may serve again: a good one that works with the database as it is now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ops.deploy import gate, releases, safeguard
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Settings


def choose(
    settings: Settings,
    serving: str,
    to: str,
    known: Sequence[releases.Release] | None = None,
    *,
    lacks: Callable[[str], str] = lambda _: "",
) -> releases.Release:
    """Return the release to go back to.

    Args:
        settings: Of the environment.
        serving: Release that serves now, empty for none.
        to: Release id, or the beginning of a commit; empty for the last good one before `serving`.
        known: All releases, newest first; default: those of this machine.
        lacks: Says of a release id why it cannot run again, empty when it can.

    Raises:
        ConfigurationError: There is none.
    """
    known = releases.all_of(settings) if known is None else known
    good = [each for each in known if each.good]
    hint = f"inv releases --env {settings.name}"
    if to:
        matching = [each for each in good if each.id == to or each.commit.startswith(to)]
        if not matching:
            raise ConfigurationError(f"{to} is not a good release of {settings.name}", hint=hint)
        if why := lacks(matching[0].id):
            raise ConfigurationError(f"{matching[0].id} cannot serve again", why=why, hint=hint)
        return matching[0]
    current = next((each.sequence for each in good if each.id == serving), None)
    before = [
        each for each in good if each.id != serving and (current is None or each.sequence < current)
    ]
    if not before:
        raise ConfigurationError(
            f"there is no release before {serving or 'the first'} in {settings.name}", hint=hint
        )
    reasons = {each.id: lacks(each.id) for each in before}
    possible = next((each for each in before if not reasons[each.id]), None)
    if possible is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise ConfigurationError(
            f"no release before {serving or 'the first'} can serve again in {settings.name}",
            why=why,
            hint=hint,
        )
    return possible


def refuse_incompatible(
    context: Context, release: releases.Release, known: Sequence[releases.Release] | None = None
) -> None:
    """Refuse a release that does not work with the database as a newer one has migrated it.

    Args:
        context: Surroundings.
        release: The one to go back to.
        known: All releases; default: those of this machine.

    Raises:
        ConfigurationError: A migration that says breaks-old came after it, and is applied.
    """
    for each in releases.all_of(context.settings) if known is None else known:
        newer = each.sequence > release.sequence and each.breaks_older
        if newer and gate.is_applied(context, each):
            raise ConfigurationError(
                f"{release.id} does not work with the database that {each.id} migrated",
                why="its migration says breaks-old",
                hint=f"deploy a fix, or go back to the database before it: {_way_back(context, each)}",
            )


def _way_back(context: Context, release: releases.Release) -> str:
    return safeguard.way_back(context, release.backup) if release.backup else "there is no backup"
