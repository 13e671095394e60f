"""Asks every host what a deploy must know of it before anything changes: one question a host, all at once."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ops.deploy import finding
from ops.deploy.finding import Finding
from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.hosts.machines import Outcome
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.settings.models import Settings

FREE: Final = 5_000_000_000
"""Bytes: images of two releases, their layers while they are unpacked, and the logs meanwhile."""
OLDEST_ENGINE: Final = (20, 10)
"""API 1.41; Debian 12 has it. Source: research of the engines that the tests run with."""
OLDEST_COMPOSE: Final = (2, 26)
"""The oldest that the tests run with: it knows every key of the documents that newer ones print."""
SKEW: Final = 5.0
"""Seconds that two clocks may differ. With NTP they differ by milliseconds and etcd warns above 1 s
(server/etcdserver/api/rafthttp, "the clock difference against peer is too high"): beyond 5 s nobody sets this clock,
logs of several hosts are no story any more, and certificates and tokens fail."""
_KINDS: Final = {
    "missing": exits.DEPENDENCY,
    "config": exits.CONFIGURATION,
    "permission": exits.PERMISSION,
}


@dataclass(frozen=True)
class Survey:
    """A host before a deploy, as its agent's verb `survey` describes it.

    Args:
        name: Of the host.
        facts: What it is and has.
        holder: Who has its lease, None for nobody.
        observed: What runs there, None when that cannot be told; holds secrets.
        refused: Why not.
        images: Which images of those that were asked for are there, or to be had.
        skew: Seconds by which its clock is ahead, at least; 0 when the question took longer than it differs.
    """

    name: str
    facts: Mapping[str, Any]
    holder: Mapping[str, Any] | None
    observed: Mapping[str, Any] | None = field(repr=False)
    refused: Mapping[str, Any] | None
    images: Mapping[str, Mapping[str, Any]]
    skew: float


def ask(context: Context, images: Mapping[str, str] | None = None) -> Outcome[Survey]:
    """Ask all hosts at once.

    Args:
        context: Surroundings.
        images: Names of images that must be there or to be had, by what they are for.
    """

    def question(machine: Machine) -> Survey:
        asked = {"project": machine.place.project, "images": dict(images or {})}
        began = time.time()
        told = machine.call(context, "survey", asked, reads=True)
        now, ended = float(told["facts"]["now"]), time.time()
        skew = now - ended if now > ended else min(0.0, now - began)
        machine.known = {"observed": told["observed"]} if told["observed"] else {}
        given = {each.name for each in dataclasses.fields(Survey)} & told.keys()
        return Survey(machine.name, skew=skew, **{name: told[name] for name in given})

    return machines.of(context).each(question)


def needed_space(settings: Settings) -> int:
    """Return how many bytes must be free on each machine."""
    return settings.environment.free_disk or FREE


def findings(settings: Settings, survey: Survey) -> Iterator[Finding]:
    """Yield what would break a deploy half-way, or that it would not: engine, Compose, disk, clock."""
    name, facts = survey.name, survey.facts
    yield finding.ok(name, "Python", str(facts["python"]))
    engine = tool(name, "engine", facts["docker"], OLDEST_ENGINE)
    yield engine
    yield tool(name, "Compose", facts["compose"], OLDEST_COMPOSE)
    if engine.state == "ok" and survey.refused is not None:
        told = survey.refused
        words = f"{told['what']}: {str(told['why']).splitlines()[-1]}" if told["why"] else ""
        code = _KINDS.get(told["kind"], exits.GENERAL)
        yield Finding(name, "containers", "wrong", words or told["what"], told["hint"], code)
    yield space(settings, name, int(facts["free"]), "df -h, docker system df")
    if abs(survey.skew) > SKEW:
        words = f"{abs(survey.skew):.0f} s {'ahead of' if survey.skew > 0 else 'behind'} this one"
        yield Finding(name, "clock", "wrong", words, "on the host: timedatectl set-ntp true")
    else:
        yield finding.ok(name, "clock", f"within {SKEW:g} s of this one")


def space(settings: Settings, where: str, free: int, hint: str) -> Finding:
    """Return whether a machine has room for a deploy."""
    needed = needed_space(settings)
    words = f"{_gigabytes(free)} free, {_gigabytes(needed)} needed"
    if free >= needed:
        return finding.ok(where, "disk", words)
    return Finding(where, "disk", "wrong", words, f"{hint}; or free_disk in ops.toml")


def tool(where: str, name: str, told: Mapping[str, str], oldest: tuple[int, int]) -> Finding:
    """Return whether a tool is there and new enough.

    Args:
        where: On which machine.
        name: What people call it.
        told: Its `version`, or `why` there is none.
        oldest: Version that will do.
    """
    version = str(told["version"])
    if version:
        least = ".".join(map(str, oldest))
        found = re.match(r"v?(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) < oldest:
            words = f"{version}, {least} or newer is needed"
            hint = "on the host: apt-get install docker-ce docker-compose-plugin"
            return Finding(where, name, "wrong", words, hint, exits.DEPENDENCY)
        return finding.ok(where, name, version)
    why = str(told.get("why", ""))
    if "permission denied" in why:
        hint = "add the user to group docker: inv setup.server"
        return Finding(where, name, "wrong", why, hint, exits.PERMISSION)
    if "Cannot connect" in why or "did not answer" in why:
        return Finding(where, name, "wrong", why, "systemctl status docker", exits.CONNECTION)
    return Finding(where, name, "wrong", why, "inv setup.server installs it", exits.DEPENDENCY)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
