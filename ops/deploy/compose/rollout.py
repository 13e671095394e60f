"""The order in which a release reaches the hosts: filled everywhere, then wave by wave given requests and watched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.deploy import shared
from ops.deploy.compose import fleet, steps, wanted, watching
from ops.hosts.agent import routes
from ops.hosts.haproxy import SLOTS
from ops.kernel.plan import Ref, Step
from ops.kernel.settings.environment import Environment

_TOGETHER: Final = 2
"""So many hosts are one wave where ops.toml says nothing; of more it is half of them."""


@dataclass(frozen=True)
class Move:
    """What happens to one host.

    Args:
        host: As it was observed.
        slot: Where the release is or comes.
        before: Slot that serves now, empty for none.
        filled: Whether the slot must be filled.
        switched: Whether requests must be sent there.
        shared: Whether it may have a share of the requests first.
    """

    host: fleet.Host
    slot: str
    before: str
    filled: bool
    switched: bool
    shared: bool

    @property
    def compared(self) -> bool:
        """Whether there is an old version to compare it with, and to go back to."""
        return bool(self.before) and (self.shared or self.host.serving != "mixed")

    def content(self, release: str, *, brought: bool) -> dict[str, Any]:
        """Return the arguments of the steps that put the release on the host.

        Args:
            release: Its id.
            brought: Whether this run brought its images; else the host keeps all that it takes.
        """
        return {
            "host": self.host.name,
            "slot": self.slot,
            "release": release,
            "before": self.before,
            "images": Ref("deliver", "ids") if brought else None,
            "references": Ref("deliver", "references") if brought else None,
        }


def moves(what: wanted.Wanted, now: fleet.Fleet) -> list[Move]:
    """Return what is to happen to each host; one that has finished is left out."""
    return [move for move in (_move(what, host) for host in now) if move is not None]


def _move(what: wanted.Wanted, host: fleet.Host) -> Move | None:
    if host.serving in SLOTS and what.is_in(host, host.serving, warm=False):
        if not host.left:
            return None
        # A deploy was killed: after its switch it goes on from there, before it nobody wants what it filled.
        switched = host.served
        return Move(host, host.serving, host.left, filled=False, switched=switched, shared=False)
    slot, before = host.choose(what.release)
    filled = not what.is_in(host, slot, warm=True)
    # Both may serve after a killed canary: the slot that served before it must not go back to a share.
    shared = host.serving == before or slot != host.comes_back
    return Move(host, slot, before, filled=filled, switched=True, shared=shared)


def plan(what: wanted.Wanted, some: Sequence[Move], *, watched: bool) -> list[Step]:
    """Return the steps, from filling the slots to the end of the old ones.

    Args:
        what: The release.
        some: What happens to the hosts.
        watched: Whether it gets shares first and is watched: a way back, to what the hosts keep, is wanted at once.
    """
    settings, release = what.settings, what.release
    chosen = settings.environment
    return [
        *(
            steps.prepare.step(
                move.host.name, group="prepare", **move.content(release, brought=watched)
            )
            for move in some
            if move.filled
        ),
        *shared.hooks(settings, release, "before_switch"),
        *(
            step
            for number, wave in enumerate(_waves(chosen, some, watched), 1)
            for step in _wave(what, number, wave, watched)
        ),
        *shared.hooks(settings, release, "after_switch"),
        *(
            steps.retire.step(
                move.host.name,
                group="retire",
                host=move.host.name,
                slot=move.before,
                warm=chosen.warm,
            )
            for move in some
            if move.before
        ),
    ]


def words(what: wanted.Wanted, some: Sequence[Move], *, watched: bool) -> dict[str, str]:
    """Return the same for the person who confirms."""
    chosen = what.settings.environment
    said = {}
    waves = _waves(chosen, some, watched)
    if len(waves) > 1:
        said["waves"] = "; then ".join(", ".join(move.host.name for move in wave) for wave in waves)
    if not any(move.before for move in some):
        return said
    seconds = _time(chosen.bake)
    if watched and chosen.rollout != (100,):
        shares = ", ".join(f"{each} %" for each in chosen.rollout[:-1])
        said["canary"] = f"{shares} of the requests, each watched for {seconds}, then all"
        if not all(_has_shares(what, move) for move in some if move.compared):
            said["canary"] = "none: the proxy's routes change, and a share cannot have other ones"
    if watched and chosen.bake:
        said["bake"] = (
            f"{seconds} after each switch; back by itself when {chosen.bake_errors:g} points more requests"
            f" fail, or answers take {chosen.bake_latency:g} times as long"
        )
    kept = f"stays warm for {_time(chosen.warm)}" if chosen.warm else "is stopped"
    said["old slot"] = f"{kept} after its requests and jobs have ended"
    return said


def _waves(chosen: Environment, some: Sequence[Move], watched: bool) -> list[list[Move]]:
    switched = [move for move in some if move.switched]
    count = _count(chosen, len(switched)) if watched else max(1, len(switched))
    return [switched[first : first + count] for first in range(0, len(switched), count)]


def _count(chosen: Environment, hosts: int) -> int:
    """Return how many hosts are switched at once."""
    if isinstance(chosen.wave, int):
        return chosen.wave
    if chosen.wave is None and hosts <= _TOGETHER:
        return _TOGETHER
    percent = int((chosen.wave or "50%").rstrip("%"))
    return max(1, math.ceil(hosts * percent / 100))


def _wave(what: wanted.Wanted, number: int, wave: Sequence[Move], watched: bool) -> list[Step]:
    """Return the steps of one wave: shares of the requests, then all of them, each followed by its watch."""
    made = []
    compared = [move for move in wave if move.compared] if watched else []
    shared = [move for move in compared if _has_shares(what, move)]
    for percent in what.settings.environment.rollout[:-1]:
        made += [
            watching.share.step(
                f"{percent}.{move.host.name}",
                group=f"share-{percent}-{number}",
                host=move.host.name,
                slot=move.slot,
                percent=percent,
                before=move.before,
            )
            for move in shared
        ]
        made += _watch(what, f"{number}.{percent}", shared, percent)
    made += [
        steps.switch.step(
            move.host.name,
            group=f"switch-{number}",
            host=move.host.name,
            slot=move.slot,
            release=what.release,
            before=move.before,
            filled=move.filled,
        )
        for move in wave
    ]
    return [*made, *_watch(what, str(number), compared, 100)]


def _watch(what: wanted.Wanted, key: str, some: Sequence[Move], percent: int) -> list[Step]:
    seconds = what.settings.environment.bake
    if not some or not seconds:
        return []
    return [
        watching.watch.step(
            key,
            limit=seconds + watching.MARGIN,
            hosts=[move.host.name for move in some],
            slots={move.host.name: move.slot for move in some},
            release=what.release,
            percent=percent,
            seconds=int(seconds) if seconds.is_integer() else seconds,
        )
    ]


def _has_shares(what: wanted.Wanted, move: Move) -> bool:
    """Say whether both releases can serve beside each other: with the same routes, that is without a reload."""
    return move.shared and routes.routed_as(move.host.structure) == routes.digest_in(what.proxy(""))


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
