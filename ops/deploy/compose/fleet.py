"""What runs on the hosts of an environment now: asked from each host's proxy and containers, never from the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ops.deploy.releases import Release
from ops.hosts import machines
from ops.hosts.haproxy import SLOTS
from ops.hosts.machine import Machine
from ops.kernel.context import Context
from ops.kernel.errors import OpsError
from ops.kernel.settings import limit
from ops.kernel.settings.models import Settings

ASK = 10.0
"""Seconds for a host that the run leaves alone."""


@dataclass(frozen=True)
class Kept:
    """A release as a host keeps it.

    Args:
        record: Its record there.
        images: Id of the image of each service there.
        references: Where images were fetched from, by digest; nothing without a registry of the user's own.
        digest: Hash of what it is to run.
        lacks: Services whose image is gone.
    """

    record: Release
    images: Mapping[str, str]
    references: Mapping[str, str]
    digest: str
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """The environment on one host.

    Args:
        name: Of the machine.
        serving: Slot that gets requests: blue, green, `mixed`, or empty.
        slots: What was put into each slot: `release` and `images` by service.
        running: Names of the services whose containers all run, as Compose names them.
        present: The Compose document that it runs, None for none; holds secrets.
        changed: What was changed by hand and a deploy puts right: services, and files of invops.
        retry_after: Seconds of the maintenance page that is on, else 0.
        comes_back: Slot that a proxy which restarts would serve; of one that is down the one that got requests last;
            empty for none.
        structure: Of the routes that its proxy has, empty for none.
        left: Slot that does not serve and was not retired: requests or workers are in it; empty for none.
        served: Whether `left` is what served until the other one did.
        releases: What it keeps, by release id.
    """

    name: str
    serving: str
    slots: Mapping[str, Mapping[str, Any]]
    running: frozenset[str]
    present: Mapping[str, Any] | None = field(repr=False)
    changed: frozenset[str] = frozenset()
    retry_after: int = 0
    comes_back: str = ""
    structure: str = ""
    left: str = ""
    served: bool = False
    releases: Mapping[str, Kept] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """Release that serves, empty for none."""
        return str(self.slots.get(self.serving, {}).get("release", ""))

    @property
    def last(self) -> str:
        """Release that serves, else the one that served last, empty for none."""
        return self.release or str(self.slots.get(self.comes_back, {}).get("release", ""))

    def choose(self, release: str) -> tuple[str, str]:
        """Return the slot to fill and the slot that serves now (empty for none).

        After a crash in the middle of a switch or a canary both may serve: then the one with the wanted release is
        finished; for a third one the slot is filled that a proxy which restarts would not serve.
        """
        if self.serving == "mixed":
            holds = (each for each in SLOTS if self.slots[each].get("release") == release)
            slot = next(holds, _other(self.comes_back or SLOTS[0]))
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

    @property
    def last(self) -> set[str]:
        """Releases that serve, or served last where none does."""
        return {each.last for each in self} - {""}

    @property
    def commit(self) -> str | None:
        """Commit of what serves, empty when hosts differ or do not know it, None when nothing serves."""
        if not any(each.release for each in self.hosts):
            return None
        return next((each.commit for each in self.records if each.id == self.release), "")

    def shown(self) -> str:
        """Return what serves, for a person."""
        found = {each.release or "nothing" for each in self.hosts}
        if len(found) == 1:
            return found.pop()
        return ", ".join(f"{each.name}: {each.release or 'nothing'}" for each in self.hosts)

    def seen(self) -> dict[str, Any]:
        """Return it as the part of a plan that is compared again under the lock."""
        return {each.name: each.seen() for each in self.hosts}

    @property
    def records(self) -> list[Release]:
        """Releases that any host keeps, newest first; what one host knows of one counts."""
        found: dict[str, list[Release]] = {}
        for host in self:
            for name, each in host.releases.items():
                found.setdefault(name, []).append(each.record)
        merged = [_merged(each) for each in found.values()]
        return sorted(merged, key=lambda each: each.sequence, reverse=True)

    def unproved(self, release: str) -> str:
        """Return why a release cannot be taken from every host, empty when it can."""
        missing = [each.name for each in self if release not in each.releases]
        if missing:
            every = len(missing) == len(self.hosts)
            return (
                "it was not deployed there" if every else f"{', '.join(missing)} does not have it"
            )
        kept = {each.name: each.releases[release] for each in self}
        if never := [name for name, each in kept.items() if not each.record.good]:
            return f"it never served well on {', '.join(never)}"
        if lacks := [
            f"of {', '.join(each.lacks)} on {name}" for name, each in kept.items() if each.lacks
        ]:
            return f"its image is gone: {'; '.join(lacks)}"
        if len({each.digest for each in kept.values()}) > 1:
            return f"it is not the same on {', '.join(kept)}"
        return ""


def project(settings: Settings) -> str:
    """Return the name of the Compose project on the hosts."""
    return f"{settings.app.name}-{settings.name}"


def observe(context: Context) -> Fleet:
    """Look at all hosts; changes nothing.

    Raises:
        OpsError: A host does not answer, or lacks Docker.
    """
    found = machines.of(context).each(lambda one: _look(context, one)).complete()
    return of(found)


def of(found: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """Return the environment as its hosts described it, see `observe` of the agent's look.py."""
    return Fleet(tuple(_host(name, each) for name, each in found.items()))


def left_out(context: Context) -> dict[str, str]:
    """Return what the run means for the hosts that it leaves alone, for a person; nothing when there are none."""
    gone, others = context.settings.left_out, machines.left_out(context)
    asked = context.within(ASK)

    def words(machine: Machine) -> str:
        if gone[machine.name] != limit.NOT_NAMED:
            return f"{machine.name} is down and stays as it is"
        try:
            release = _host(machine.name, _look(asked, machine)).release
        except OpsError:
            return f"{machine.name} does not answer and stays as it is"
        return f"{machine.name} stays on {release or 'nothing'}"

    # The plan is made again under the lock of the others: what these say meanwhile does not change it.
    new = others.without({each.name for each in others if "stays" in each.known})
    for name, told in new.each(words).complete().items():
        others[name].known["stays"] = told
    found = [each.known["stays"] for each in others]
    return {"left out": "; ".join(found)} if found else {}


def _look(context: Context, machine: Machine) -> dict[str, Any]:
    """Return what a host says; what was just told with another question is not asked again."""
    told: dict[str, Any] | None = machine.known.pop("observed", None)
    if told:
        return told
    return machine.call(context, "look.observe", {"project": machine.place.project}, reads=True)


def _host(name: str, found: Mapping[str, Any]) -> Host:
    front, serving, slots = found["proxy"] or {}, found["serving"], found["slots"]
    left = _other(serving) if serving in SLOTS and _other(serving) in _busy(found) else ""
    turn = found["began"]
    began = (serving, left, slots[left].get("release") if left else None)
    states: dict[str, set[str]] = {}
    for each in found["containers"]:
        states.setdefault(each["service"], set()).add(each["state"])
    running = frozenset(service for service, all_of in states.items() if all_of == {"running"})
    kept = {release: _kept(each) for release, each in found["releases"].items()}
    return Host(
        name,
        serving,
        slots,
        running,
        found["document"],
        frozenset(found["changed"]),
        front.get("retry_after", 0),
        releases=kept,
        comes_back=front.get("comes_back", turn.get("slot", "")),
        structure=front.get("structure", ""),
        left=left,
        served=began == tuple(turn.get(key) for key in ("slot", "before", "release")),
    )


def _busy(found: Mapping[str, Any]) -> set[str]:
    """Return the slots that may get requests, still answer some, or have workers that take jobs."""
    servers = (found["proxy"] or {}).get("servers", [])
    web = {f"{each['service']}-{each['slot']}" for each in servers}
    workers = {
        each["slot"]
        for each in found["containers"]
        if each["state"] == "running" and each["service"] not in web
    }
    return workers | {each["slot"] for each in servers if each["told"] != "maint"}


def _kept(found: Mapping[str, Any]) -> Kept:
    record = Release(**found["release"])
    given = (found[key] for key in ("images", "references", "digest", "lacks"))
    images, references, digest, lacks = given
    return Kept(record, images, references, digest, tuple(lacks))


def _merged(records: Sequence[Release]) -> Release:
    newest = max(records, key=lambda each: each.sequence)
    return replace(
        newest,
        good=any(each.good for each in records),
        migrations=max((each.migrations for each in records), key=len),
        breaks_older=any(each.breaks_older for each in records),
        backup=next((each.backup for each in records if each.backup), ""),
    )


def _other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]
