"""The steps of a Compose deploy on one host: fill the idle slot, switch, let the other one end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ops.deploy.compose import evidence, fleet, kept, wanted
from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.steps import step

SWITCH_SECONDS = 30.0
"""How long the proxy may take to find a healthy slot alive."""


@dataclass(frozen=True)
class Prepared:
    """A slot that is filled.

    Args:
        images: Id of the image of each of its containers.
        seconds: How long it took.
    """

    images: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Switched:
    """Where traffic went.

    Args:
        before: Slot that served before, empty for none.
        seconds: How long it took.
    """

    before: str
    seconds: float


@dataclass(frozen=True)
class Retired:
    """A slot that ended.

    Args:
        cut: Requests that did not end in time.
    """

    cut: int


def _on(context: Context, host: str) -> Machine:
    return machines.of(context)[host]


def _forget(context: Context, result: object, host: str, release: str, **_: object) -> None:
    _on(context, host).call(context, "releases.forget", {"release": release}, reads=False)


def _clear(
    context: Context,
    result: object,
    host: str,
    slot: str,
    release: str,
    before: str,
    images: dict[str, dict[str, str]] | None,
    references: dict[str, str] | None,
) -> None:
    """Empty the slot; the evidence is kept first, unless the step that failed did so."""
    if not evidence.folder(context, host).exists():
        asked = wanted.checks(context.settings, release, slot)
        if place := evidence.keep(context, host, slot, asked):
            context.note(f"evidence of {host}: {place}")
    there = {"project": fleet.project(context.settings), "slot": slot}
    there["forget"] = release if images is not None else ""
    limit = {"limit": context.deadline.remaining()}
    _on(context, host).detached(context, "slots.clear", {**there, **limit})


@step(title="Start what is not switched on {host}", limit=minutes(10), undo=_forget)
def ground(
    context: Context,
    host: str,
    slot: str,
    release: str,
    before: str,
    images: dict[str, dict[str, str]] | None,
    references: dict[str, str] | None,
) -> None:
    """Start the services that are not switched, such as the database, before the migrations need it.

    Raises:
        StepFailed: One does not come up; the last lines of its log are the reason.
        ConnectionFailed: The database takes no connections.
    """
    from ops.database import ready  # only who has a database loads what speaks to one

    arguments = _document(context, host, slot, release, before, images, references)
    with evidence.on_failure(context, host, slot, {}):
        _on(context, host).detached(context, "slots.ground", arguments)
    ready.wait(context)


@step(title="Fill slot {slot} on {host} with {release}", limit=minutes(5), undo=_clear)
def prepare(
    context: Context,
    host: str,
    slot: str,
    release: str,
    before: str,
    images: dict[str, dict[str, str]] | None,
    references: dict[str, str] | None,
) -> Prepared:
    """Start the release in the idle slot and wait until it is healthy; what serves is not touched.

    Args:
        context: Surroundings.
        host: Which one.
        slot: The idle slot.
        release: What comes into it.
        before: Slot that serves now, empty for none.
        images: By host: id of the image of each service; None for a release that the host keeps.
        references: Where hosts fetched them from, by digest; None likewise.

    Raises:
        StepFailed: A service does not come up; the last lines of its log are the reason.
    """
    arguments = _document(context, host, slot, release, before, images, references)
    with evidence.on_failure(context, host, slot, arguments["checks"]):
        return Prepared(**_on(context, host).detached(context, "slots.prepare", arguments))


def _document(
    context: Context,
    host: str,
    slot: str,
    release: str,
    before: str,
    images: dict[str, dict[str, str]] | None,
    references: dict[str, str] | None,
) -> dict[str, Any]:
    """Return what a host needs to know of a release; the files that it mounts are there then."""
    machine, given = _on(context, host), {}
    if images is None:
        what, seen = kept.read(context, machine, release)
        ids = seen["kept"]["images"]
    else:
        ids = images[host]
        what, given["kept"] = kept.content(context, release, ids, references or {})
        seen = machine.known.pop("model", None) or machine.call(context, "look.model", reads=True)
        _upload(context, machine, what, seen["files"])
    return {
        **given,
        "slot": slot,
        "release": release,
        "model": what.derive(slot, ids, seen["model"]).document,
        "proxy": what.proxy(before),
        "checks": what.checks(slot),
        "limit": context.deadline.remaining(),
    }


def _upload(
    context: Context, machine: Machine, what: wanted.Wanted, there: Collection[str]
) -> None:
    """Send the files that the host does not have whole: their folders are named by content."""
    needed = [
        (each.source if each.source is not None else each.content, str(each.path), each.mode)
        for each in what.placed.uploads
        if "/".join(each.path.parts[:3]) not in there
    ]
    if needed:
        machine.put_all(context, needed)


def _switch_back(
    context: Context, result: object, host: str, slot: str, release: str, before: str, filled: bool
) -> None:
    if before:
        route(context, host, before)
    if before and not filled:  # nothing will be emptied: its workers end, and it stays warm
        _end(context, host, slot, context.settings.environment.warm)


@step(title="Switch {host} to slot {slot}", limit=minutes(2), undo=_switch_back)
def switch(
    context: Context, host: str, slot: str, release: str, before: str, filled: bool
) -> Switched:
    """Send the traffic of a host to a slot; requests in the other slot end where they are.

    Args:
        context: Surroundings.
        host: Which one.
        slot: Where to.
        release: What is in it.
        before: Slot that serves now, empty for none.
        filled: Whether a step of this run filled the slot, so that its undo empties it.

    Source: HAProxy management guide, 9.3, "set server".
    """
    return route(context, host, slot)


def route(context: Context, host: str, slot: str) -> Switched:
    """Send the traffic of a host to a slot that runs; nothing happens when it is there."""
    arguments = {
        "project": fleet.project(context.settings),
        "slot": slot,
        "limit": min(SWITCH_SECONDS, context.deadline.remaining()),
    }
    return Switched(**_on(context, host).detached(context, "slots.switch", arguments))


@step(title="Let slot {slot} on {host} end", limit=minutes(5))
def retire(context: Context, host: str, slot: str, warm: float) -> Retired:
    """Wait until the requests and jobs of a slot have ended; its web services stay for the instant way back.

    Args:
        context: Surroundings.
        host: Which one.
        slot: Which slot.
        warm: Seconds that they stay; a job on the host stops them then, see ops/hosts/agent/warm.py.
    """
    return _end(context, host, slot, warm)


def _end(context: Context, host: str, slot: str, warm: float) -> Retired:
    longest = max((each.stop_timeout for each in context.settings.services.values()), default=30.0)
    arguments = {
        "project": fleet.project(context.settings),
        "slot": slot,
        "drain": longest,
        "warm": warm > 0,
        "seconds": warm,
        "limit": context.deadline.remaining(),
    }
    return Retired(**_on(context, host).detached(context, "slots.retire", arguments))
