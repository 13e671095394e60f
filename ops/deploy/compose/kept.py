"""Releases live on the hosts: each keeps what it takes to run one again, so that any machine can go back to it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ops.deploy import earlier, prune, releases
from ops.deploy.compose import fleet, images, wanted
from ops.deploy.compose.files import Placed
from ops.deploy.compose.model import Model
from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, OpsError, StepFailed
from ops.kernel.settings.models import Service
from ops.kernel.steps import step

HISTORY = ("sequence", "migrations", "breaks_older", "backup")
"""What a release's record keeps when the release is deployed again."""
_read: dict[tuple[Path, str, str, str], wanted.Wanted] = {}


def history(now: fleet.Fleet, release: str) -> dict[str, Any]:
    """Return what the hosts know of a release, its number (the next one for a new release), and what was before it."""
    records = now.records
    known = next((each for each in records if each.id == release), None)
    before = {"after": after(now, release, newest=True)}
    if known is None:
        return {"sequence": following(records), **before}
    return {**{name: getattr(known, name) for name in HISTORY}, **before}


def after(now: fleet.Fleet, release: str, *, newest: bool) -> int | None:
    """Return what the record of a release is to say of what served until it came, see `earlier.after`."""
    return earlier.after(now.records, release, now.last, newest=newest)


def newest(now: fleet.Fleet, release: str) -> int:
    """Return the number of a release that comes last now, also of one from before."""
    records = now.records
    if records and records[0].id == release:
        return records[0].sequence
    return following(records)


def following(records: Sequence[releases.Release]) -> int:
    """Return the number of the environment's next release."""
    return max((each.sequence for each in records), default=0) + 1


def choose(context: Context, now: fleet.Fleet, to: str) -> releases.Release:
    """Return the release to go back to: one that every host can run again.

    Args:
        context: Surroundings.
        now: As it was observed, with images.
        to: Release id, or the beginning of a commit; empty for the last good one before the release that serves.

    Raises:
        ConfigurationError: There is none, or the hosts serve different releases and none was named, or it does not work
            with the database as it is now.
    """
    serving = {host.name: host.release or "nothing" for host in now}
    if not to and len(set(serving.values())) > 1:
        raise ConfigurationError(
            "the hosts serve different releases, so there is no one before",
            why=", ".join(f"{name}: {each}" for name, each in serving.items()),
            hint=f"name one that all have: inv rollback --env {context.settings.name} --to RELEASE",
        )
    known = now.records
    last = next(iter(now.last)) if len(now.last) == 1 else ""
    ending = {host.slots[host.left].get("release", "") for host in now if host.left and host.served}
    found = earlier.choose(
        context.settings, now.release, to, known, last=last, ending=ending, lacks=now.unproved
    )
    if found.id != now.release:
        earlier.refuse_incompatible(context, found, known)
    return found


@step(title="Write down what {release} is", limit=30)
def describe(context: Context, release: str, history: dict[str, Any]) -> None:
    """Write the release's record here: the hosts get it with the release, migrations look what came with it.

    Args:
        context: Surroundings.
        release: The release, unpacked here.
        history: What the hosts know of it already, see `history`.
    """
    settings = context.settings
    known = releases.load(settings, release)
    made = dataclasses.replace(known, created=time.time(), good=False, **history)
    releases.save(settings, made)


def content(
    context: Context, release: str, ids: Mapping[str, str], references: Mapping[str, str]
) -> tuple[wanted.Wanted, dict[str, Any]]:
    """Return a release that is unpacked here, and what a host keeps of it (see the agent's releases.py).

    Args:
        context: Surroundings.
        release: The release.
        ids: Id of the image of each service on the host.
        references: Where it fetched them from, by digest.
    """
    what = wanted.of(context, release)
    packed = _packed(what)
    # Two machines unpack a release into different folders: that is no difference.
    text = json.dumps(packed, sort_keys=True).replace(json.dumps(packed["folder"])[1:-1], "")
    return what, {
        "release": dataclasses.asdict(releases.load(context.settings, release)),
        "images": dict(ids),
        "references": dict(references),
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "wanted": packed,
    }


def mark(context: Context, release: str, facts: Mapping[str, Any]) -> None:
    """Write facts into the record of a release on every host."""
    asked = {"release": release, "facts": dict(facts)}
    machines.of(context).each(
        lambda one: one.call(context, "releases.mark", asked, reads=False)
    ).complete()


@step(title="Record the release as good on the hosts, remove old ones", limit=minutes(3))
def record(
    context: Context,
    release: str,
    before: list[str],
    sequence: int,
    backup: str | None,
    after: int | None,
) -> None:
    """Mark the release as one that served, so that a rollback may choose it; then remove what nothing needs any more.

    Args:
        context: Surroundings.
        release: The release.
        before: Releases that served until now: they stay.
        sequence: Its number: the newest, also of one from before, since the way back leads to what served until now.
        backup: Id of the backup made before its migrations.
        after: What the way back from it leads to.
    """
    facts: dict[str, Any] = {
        "good": True,
        "sequence": sequence,
        "after": after,
        "actor": context.actor,
        "left_out": dict(context.settings.left_out),
        **({"backup": backup} if backup else {}),
    }
    settings = context.settings
    known = releases.load(settings, release)
    releases.save(settings, dataclasses.replace(known, **facts))
    asked = {
        "project": fleet.project(settings),
        "release": release,
        "facts": facts,
        "keep": [release, *before],
        "count": settings.environment.keep_releases,
    }
    found = machines.of(context).each(
        lambda one: one.call(context, "releases.settle", asked, reads=False)
    )
    for name, each in found.complete().items():
        for line in each["told"]:
            context.note(f"{name}: {line}")
    _tidy(context, {release, *before})


def _as_before(
    context: Context, result: object, release: str, before: int | None, **_: object
) -> None:
    mark(context, release, {"after": before})


@step(title="Record what served before {release}", limit=30, undo=_as_before)
def follow(context: Context, release: str, after: int | None, before: int | None) -> None:
    """Write what serves until now into the record of a newer release that serves again: its way back leads there.

    Args:
        context: Surroundings.
        release: The newer one.
        after: What the way back from it leads to now.
        before: What it led to until now.
    """
    mark(context, release, {"after": after})


def _tidy(context: Context, keep: set[str]) -> None:
    """Remove what this machine has of releases that are too old; what the hosts need of them, they have."""
    for each in prune.superfluous(context.settings, keep):
        try:
            images.untag(context, each)
        except OpsError as error:
            context.note(f"could not remove the images of {each.id}: {error}")
    prune.tidy(context, keep)


def again(context: Context, now: fleet.Fleet, release: str) -> wanted.Wanted:
    """Return a release as the first host keeps it; it is asked once, for what it keeps has a name by its content."""
    host = now.hosts[0]
    key = (context.settings.folder, context.settings.name, release, host.releases[release].digest)
    if key not in _read:
        _read[key] = read(context, machines.of(context)[host.name], release)[0]
    return _read[key]


def read(context: Context, machine: Machine, release: str) -> tuple[wanted.Wanted, dict[str, Any]]:
    """Return what a host keeps of a release, and what else `releases.read` says.

    Raises:
        StepFailed: It keeps no such release.
    """
    found = machine.call(context, "releases.read", {"release": release}, reads=True)
    if found["kept"] is None:
        raise StepFailed(
            f"{machine.name} does not keep release {release}",
            hint=f"inv releases --env {context.settings.name}",
        )
    return _unpacked(context, found["kept"]), found


def _packed(what: wanted.Wanted) -> dict[str, Any]:
    return {
        "folder": str(what.model.folder),
        "model": what.model.document,
        "paths": {name: str(path) for name, path in what.placed.paths.items()},
        "secrets": {name: str(path) for name, path in what.placed.secrets.items()},
        "variables": what.variables,
    }


def _unpacked(context: Context, kept: Mapping[str, Any]) -> wanted.Wanted:
    """Return a release as it was deployed: with the services that ops.toml described, and the values of that time."""
    given, record = kept["wanted"], kept["release"]
    described = {name: Service.model_validate(each) for name, each in record["services"].items()}
    placed = Placed(_paths(given["paths"]), _paths(given["secrets"]), ())
    return wanted.Wanted(
        context.settings.model_copy(update={"services": described}),
        str(record["id"]),
        Model(given["model"], Path(given["folder"])),
        placed,
        given["variables"],
    )


def _paths(given: Mapping[str, str]) -> dict[str, PurePosixPath]:
    return {name: PurePosixPath(path) for name, path in given.items()}
