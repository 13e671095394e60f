"""Which backups stay: a pure function of their manifests and the rules.

A backup is good when its newest verification that could be tried did not fail; only good ones count for the rules.
Of each of the last days (UTC), weeks (ISO 8601, from Monday) and months that have a good backup the last one stays:
days without a backup use nothing up, so a job that stood still for a month has not lost its history by that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC

from ops.backup import measures
from ops.backup.manifest import Manifest


def is_good(manifest: Manifest) -> bool:
    """Say whether a backup may count: nobody has found that it cannot be restored."""
    return manifest.proof is None or manifest.proof.verdict == "PASSED"


def keep(
    manifests: Sequence[Manifest], *, last: int, daily: int, weekly: int, monthly: int
) -> set[str]:
    """Return the ids of the backups that stay.

    The newest proved one and the newest of all stay whatever the rules say.

    Args:
        manifests: Complete backups, in any order.
        last: How many of the newest good ones stay.
        daily: For how many days the last good one of the day stays.
        weekly: Likewise for weeks.
        monthly: Likewise for months.
    """
    newest_first = sorted(manifests, key=lambda each: (each.created, each.id), reverse=True)
    good = [each for each in newest_first if is_good(each)]
    proved = [each for each in newest_first if each.proved]
    kept = {each.id for each in (*newest_first[:1], *proved[:1], *good[:last])}
    rules: tuple[tuple[int, Callable[[Manifest], tuple[int, ...]]], ...] = (
        (daily, _day),
        (weekly, _week),
        (monthly, _month),
    )
    for count, period in rules:
        newest: dict[tuple[int, ...], str] = {}
        for each in good:
            newest.setdefault(period(each), each.id)
        kept.update(list(newest.values())[:count])
    return kept


def _day(manifest: Manifest) -> tuple[int, ...]:
    at = measures.moment(manifest.created).astimezone(UTC)
    return at.year, at.month, at.day


def _week(manifest: Manifest) -> tuple[int, ...]:
    at = measures.moment(manifest.created).astimezone(UTC).isocalendar()
    return at.year, at.week


def _month(manifest: Manifest) -> tuple[int, ...]:
    return _day(manifest)[:2]
