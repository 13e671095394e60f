"""Which earlier release may serve again: a good one that works with the database as it is now.

The way back leads from each release to what served until it came, so it passes by releases that a rollback left: each
record says what was before it (`Release.after`). A rollback itself writes nothing, unless it goes forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from ops.deploy import releases
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Settings


def choose(
    settings: Settings,
    serving: str,
    to: str,
    known: Sequence[releases.Release] | None = None,
    *,
    last: str = "",
    ending: Collection[str] = (),
    lacks: Callable[[str], str] = lambda _: "",
) -> releases.Release:
    """Return the release to go back to.

    Args:
        settings: Of the environment.
        serving: Release that serves now, empty for none.
        to: Release id, or the beginning of a commit; empty for the last good one before `serving`.
        known: All releases, newest first; default: those of this machine.
        last: Release that served last, when none does: it comes first then.
        ending: Releases whose slot was not ended after the switch, because a run was killed. When it was on the way
            back from one of these to `serving`, that is finished: whoever asks again must not go back twice.
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
    begun = [each.id for each in known if each.id in ending and each.id != serving]
    unfinished = any(each.id == serving for name in begun for each in way_back(known, name))
    before = way_back(known, serving or last)
    if not unfinished:
        before = [each for each in before if each.id != serving]
    reasons = {each.id: lacks(each.id) for each in before}
    possible = next((each for each in before if not reasons[each.id]), None)
    if possible is None:
        left = [each.id for each in good if each.id != serving and each not in before]
        raise _nothing(settings, serving, reasons, left)
    return possible


def _nothing(
    settings: Settings, serving: str, reasons: Mapping[str, str], left: Sequence[str]
) -> ConfigurationError:
    """Return the error that there is no way back, with what there is."""
    start = serving or "the first"
    what = f"there is no release before {start} in {settings.name}"
    if reasons:
        what = f"no release before {start} can serve again in {settings.name}"
    why = [f"{name}: {reason}" for name, reason in reasons.items()]
    hint = f"inv releases --env {settings.name}"
    if left:
        why.append(f"a rollback left {', '.join(left)}")
        hint = f"name one that {hint} shows: inv rollback --env {settings.name} --to RELEASE"
    return ConfigurationError(what, why="; ".join(why), hint=hint)


def way_back(known: Sequence[releases.Release], start: str) -> list[releases.Release]:
    """Return the good releases on the way back, the nearest first.

    Args:
        known: All releases, newest first.
        start: Where it begins: this one belongs to it. From one that is not known all the way, from the newest.
    """
    begin = next((each for each in known if each.id == start), None)
    found, reach = [], begin.sequence if begin else math.inf
    for each in known:
        if each.sequence <= reach:
            found += [each] if each.good else []
            reach = _reach(each)
    return found


def after(
    known: Sequence[releases.Release], release: str, served: Collection[str], *, newest: bool
) -> int | None:
    """Return what the record of a release is to say of what served until it came, None for not known.

    Args:
        known: All releases.
        release: The one that comes.
        served: What serves until then, on all hosts; what is not known there counts for nothing.
        newest: Whether it comes last now. Else it only serves again: one that goes back keeps what its record says.
    """
    own = next((each for each in known if each.id == release), None)
    # What never counted as good may be removed at any time: what was before it stands for it.
    numbers = [
        each.sequence if each.good else _reach(each)
        for each in known
        if each.id in served
        and each is not own
        and (newest or not own or each.sequence < own.sequence)
    ]
    return max(numbers, default=own.after if own else None)


def _reach(release: releases.Release) -> int:
    """Return the highest sequence that a way back from a release may lead to."""
    before = release.sequence - 1
    return before if release.after is None else min(before, release.after)


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
    known = releases.all_of(context.settings) if known is None else known
    newer = [each for each in known if each.sequence > release.sequence and each.breaks_older]
    if not newer:
        return
    from ops.deploy import gate  # what reads migrations takes long to load

    for each in newer:
        if gate.is_applied(context, each):
            raise ConfigurationError(
                f"{release.id} does not work with the database that {each.id} migrated",
                why="its migration says breaks-old",
                hint=f"deploy a fix, or go back to the database before it: {_way_back(context, each)}",
            )


def _way_back(context: Context, release: releases.Release) -> str:
    from ops.deploy import safeguard

    return safeguard.way_back(context, release.backup) if release.backup else "there is no backup"
