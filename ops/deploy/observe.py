"""What runs in an environment now: asked from the daemon and the proxy, never from the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ops.database import target
from ops.deploy import places, proxy, releases, slots
from ops.hosts import supervisor
from ops.kernel.context import Context


@dataclass(frozen=True)
class Observed:
    """The state of an environment on this machine.

    Args:
        daemon: Whether the daemon runs.
        proxy: Whether the proxy runs.
        active: Slot that gets traffic: blue, green, `mixed` or empty.
        blue: Content of the blue slot.
        green: Content of the green slot.
        good: Ids of the releases that ever served well.
        comes_back: Slot that a proxy which restarts would serve, empty for none.
    """

    daemon: bool
    proxy: bool
    active: str
    blue: slots.Content
    green: slots.Content
    good: tuple[str, ...]
    comes_back: str = ""

    def content(self, slot: str) -> slots.Content:
        """Return the content of a slot, an empty one for no slot."""
        return {"blue": self.blue, "green": self.green}.get(slot, slots.Content())

    def seen(self) -> dict[str, Any]:
        """Return it as the part of a plan that is compared again under the lock.

        Without whether processes run: no step depends on it, and one that comes up or crashes just now would
        refuse the very deploy that repairs it.
        """
        found = asdict(self)
        for slot in places.SLOTS:
            del found[slot]["running"]
        return found

    @property
    def release(self) -> str:
        """Release that serves, empty for none."""
        return self.content(self.active).release if self.proxy else ""

    @property
    def last(self) -> str:
        """Release that serves, else the one that served last, empty for none."""
        return self.release or self.content(self.comes_back).release

    @property
    def ending(self) -> str:
        """Release in the slot that does not serve but runs, empty for none."""
        other = places.other(self.active) if self.active in places.SLOTS else ""
        return "" if self.content(other).stopped else self.content(other).release


def observe(context: Context) -> Observed:
    """Look at the environment; changes nothing."""
    settings = context.settings
    return Observed(
        daemon=supervisor.daemon_of(context).running(),
        proxy=proxy.of(settings).running(),
        active=proxy.serving(settings),
        blue=slots.content(context, "blue"),
        green=slots.content(context, "green"),
        good=tuple(each.id for each in releases.all_of(settings) if each.good),
        comes_back=proxy.comes_back(settings),
    )


def serves(context: Context, now: Observed, release: releases.Release) -> bool:
    """Say whether a release serves alone and completely, as it is described and with today's variables."""
    settings = context.settings
    if now.active not in places.SLOTS or not (now.daemon and now.proxy):
        return False
    here = now.content(now.active)
    alone = now.content(places.other(now.active)).stopped
    if not (release.good and here.release == release.id and here.running and alone):
        return False
    expected = slots.digest(context, release, target.url(context))
    return here.digest == expected and proxy.up_to_date(settings, release)


def choose(now: Observed, release: str) -> tuple[str, str]:
    """Return the slot to prepare and the slot that serves now (empty for none).

    After a crash in the middle of a switch both may serve: then the one that holds the wanted release is
    finished and the other one is retired.
    """
    if now.active == "mixed":
        slot = next(
            (each for each in places.SLOTS if now.content(each).release == release), "green"
        )
        return slot, places.other(slot)
    if now.active:
        return places.other(now.active), now.active
    return "blue", ""
