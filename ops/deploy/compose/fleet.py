"""What runs on the hosts of an environment now: asked from each host's proxy and containers, never from the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.hosts import machines
from ops.hosts.haproxy import SLOTS
from ops.kernel.context import Context
from ops.kernel.settings.models import Settings


@dataclass(frozen=True)
class Host:
    """The environment on one host.

    Args:
        name: Of the machine.
        serving: Slot that gets requests: blue, green, `mixed`, or empty.
        slots: What was put into each slot: `release` and `images` by service.
        running: Names of the services whose containers all run, as Compose names them.
        changed: What was changed by hand and a deploy puts right: services, and files of invops.
        retry_after: Seconds of the maintenance page that is on, else 0.
        present: The Compose document that it runs, None for none; holds secrets.
    """

    name: str
    serving: str
    slots: Mapping[str, Mapping[str, Any]]
    running: frozenset[str]
    changed: frozenset[str]
    retry_after: int
    present: Mapping[str, Any] | None = field(repr=False)

    @property
    def release(self) -> str:
        """Release that serves, empty for none."""
        return str(self.slots.get(self.serving, {}).get("release", ""))

    def choose(self, release: str) -> tuple[str, str]:
        """Return the slot to fill and the slot that serves now (empty for none).

        After a crash in the middle of a switch both may serve: then the one with the wanted release is finished.
        """
        if self.serving == "mixed":
            holds = (each for each in SLOTS if self.slots[each].get("release") == release)
            slot = next(holds, SLOTS[1])
            return slot, _other(slot)
        if self.serving:
            return _other(self.serving), self.serving
        return SLOTS[0], ""

    def seen(self) -> dict[str, Any]:
        """Return it as the part of a plan that is compared again under the lock; without what may crash just now."""
        filled = {slot: self.slots[slot].get("release", "") for slot in SLOTS}
        return {"serving": self.serving, "slots": filled}


@dataclass(frozen=True)
class Fleet:
    """The environment on all of its hosts.

    Args:
        hosts: In the order of ops.toml.
    """

    hosts: tuple[Host, ...]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts)

    @property
    def release(self) -> str:
        """Release that all hosts serve, empty for none or several."""
        found = {each.release for each in self.hosts}
        return found.pop() if len(found) == 1 else ""

    def shown(self) -> str:
        """Return what serves, for a person."""
        found = {each.release or "nothing" for each in self.hosts}
        if len(found) == 1:
            return found.pop()
        return ", ".join(f"{each.name}: {each.release or 'nothing'}" for each in self.hosts)

    def seen(self) -> dict[str, Any]:
        """Return it as the part of a plan that is compared again under the lock."""
        return {each.name: each.seen() for each in self.hosts}


def project(settings: Settings) -> str:
    """Return the name of the Compose project on the hosts."""
    return f"{settings.app.name}-{settings.name}"


def observe(context: Context) -> Fleet:
    """Look at all hosts; changes nothing.

    Raises:
        OpsError: A host does not answer, or lacks Docker.
    """
    asked = {"project": project(context.settings)}
    every = machines.of(context)
    found = every.each(lambda one: one.call(context, "look.observe", asked, reads=True)).complete()
    return Fleet(tuple(_host(name, found[name]) for name in found))


def _host(name: str, found: Mapping[str, Any]) -> Host:
    states: dict[str, set[str]] = {}
    for each in found["containers"]:
        states.setdefault(each["service"], set()).add(each["state"])
    running = frozenset(service for service, all_of in states.items() if all_of == {"running"})
    return Host(
        name,
        found["serving"],
        found["slots"],
        running,
        frozenset(found["changed"]),
        (found["proxy"] or {}).get("retry_after", 0),
        found["document"],
    )


def _other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]
