"""The steps that let a new version prove itself with real requests: a share of them, and a watch over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ops.deploy.compose import evidence, fleet, steps, wanted
from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import Interrupted, OpsError, StepFailed, TakenOver
from ops.kernel.steps import step

MARGIN: Final = 60.0
"""Seconds that a watch may take beside its own time."""


@dataclass(frozen=True)
class Watched:
    """A watch that ended well.

    Args:
        numbers: What was counted on each host, for a person.
    """

    numbers: dict[str, str]


def _share_back(
    context: Context, result: object, host: str, slot: str, percent: int, before: str
) -> None:
    steps.route(context, host, before)


@step(
    title="Give slot {slot} on {host} {percent} % of the requests",
    limit=minutes(1),
    undo=_share_back,
)
def share(context: Context, host: str, slot: str, percent: int, before: str) -> None:
    """Let a slot answer a part of the requests beside the one that serves.

    Source: HAProxy management guide, 9.3, "set server ... weight".
    """
    arguments = {
        "project": fleet.project(context.settings),
        "slot": slot,
        "percent": percent,
        "limit": min(steps.SWITCH_SECONDS, context.deadline.remaining()),
    }
    machines.of(context)[host].detached(context, "slots.weigh", arguments)


@step(
    title="Watch {hosts} for {seconds} s with {percent} % of the requests",
    limit=minutes(2),
    interruptible=True,
)
def watch(
    context: Context,
    hosts: list[str],
    slots: dict[str, str],
    release: str,
    percent: int,
    seconds: float,
) -> Watched:
    """Compare what the proxies count of the new version with what they counted of the one before.

    On all hosts at once: the first one on which the new version is worse, or breaks, ends the watch.

    Args:
        context: Surroundings.
        hosts: Which hosts.
        slots: The slot with the new version, by host.
        release: The new version.
        percent: Of the requests that it gets, for the title.
        seconds: How long.

    Raises:
        StepFailed: It is worse somewhere; the evidence is kept before anything is undone.
    """
    settings, every = context.settings, machines.of(context)
    asked = {
        "project": fleet.project(settings),
        "seconds": seconds,
        "errors": settings.environment.bake_errors,
        "latency": settings.environment.bake_latency,
    }
    worse: dict[str, dict[str, Any]] = {}
    failed: list[OpsError] = []

    def one(machine: Machine) -> str:
        try:
            arguments = {**asked, "slot": slots[machine.name]}
            found = machine.detached(context, "bake.watch", arguments)
        except OpsError as error:
            failed.append(error)  # the first one: those after it were ended because of it
            context.deadline.expire()
            raise
        if found["worse"]:
            worse[machine.name] = found
            context.deadline.expire()
        return str(found["numbers"])

    outcome = machines.Machines([every[name] for name in hosts]).each(one)
    for error in failed:
        if isinstance(error, TakenOver | Interrupted):
            raise error
    if worse:
        raise _failure(context, worse, slots, release)
    if failed:
        raise failed[0]
    for name, numbers in outcome.done.items():
        context.note(f"{name}: {numbers}")
    return Watched(outcome.done)


def _failure(
    context: Context, worse: dict[str, dict[str, Any]], slots: dict[str, str], release: str
) -> StepFailed:
    """Keep the evidence of every host on which the new version is worse; return what a person is told."""
    kept = []
    for name in worse:
        asked = wanted.checks(context.settings, release, slots[name])
        if folder := evidence.keep(context, name, slots[name], asked):
            kept.append(str(folder))
    lines = [f"{name}: {each['worse']}" for name, each in worse.items()]
    last = [each["why"] for each in worse.values() if each["why"]]
    return StepFailed(
        "the new version is worse than the one before",
        why="\n".join([*lines, *last]),
        hint=f"look at the evidence: {', '.join(kept)}" if kept else "",
    )
