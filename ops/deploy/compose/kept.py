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


def history(now: fleet.Fleet, release: str) -> dict[str, Any]:
    """Return what the hosts know of a release, and its number: the next one for a new release."""
    records = now.records
    known = next((each for each in records if each.id == release), None)
    if known is None:
        return {"sequence": following(records)}
    return {name: getattr(known, name) for name in HISTORY}


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
    found = earlier.choose(context.settings, now.release, to, known, lacks=now.unproved)
    if found.id != now.release:
        earlier.refuse_incompatible(context, found, known)
    return found


def _forget(context: Context, result: object, release: str, **_: object) -> None:
    machines.of(context).each(
        lambda one: one.call(context, "releases.forget", {"release": release}, reads=False)
    ).complete()


@step(title="Keep {release} on the hosts", limit=minutes(2), undo=_forget)
def keep(
    context: Context,
    release: str,
    history: dict[str, Any],
    images: dict[str, dict[str, str]],
    references: dict[str, str],
) -> None:
    """Write what it takes to run the release onto every host, with the files that it mounts.

    Args:
        context: Surroundings.
        release: The release, unpacked here.
        history: What the hosts know of it already, see `history`.
        images: By host: id of the image of each service there.
        references: Where hosts fetched them from, by digest.
    """
    what = wanted.of(context, release)
    record = dataclasses.replace(
        releases.load(context.settings, release), created=time.time(), good=False, **history
    )
    releases.save(context.settings, record)  # migrations look here what came with the release
    packed = _packed(what)
    # Two machines unpack a release into different folders: that is no difference.
    text = json.dumps(packed, sort_keys=True).replace(json.dumps(packed["folder"])[1:-1], "")
    digest = hashlib.sha256(text.encode()).hexdigest()
    about = {
        "release": dataclasses.asdict(record),
        "references": references,
        "digest": digest,
        "wanted": packed,
    }
    uploads = {str(each.path): each for each in what.placed.uploads}

    def send(machine: Machine) -> None:
        kept = {**about, "images": images[machine.name]}
        asked = {"release": release, "kept": kept, "files": list(uploads)}
        missing = machine.call(context, "releases.keep", asked, reads=False)["missing"]
        needed = (uploads[name] for name in missing)
        machine.put_all(
            context,
            [
                (
                    each.source if each.source is not None else each.content,
                    str(each.path),
                    each.mode,
                )
                for each in needed
            ],
        )

    machines.of(context).each(send).complete()


def mark(context: Context, release: str, facts: Mapping[str, Any]) -> None:
    """Write facts into the record of a release on every host."""
    asked = {"release": release, "facts": dict(facts)}
    machines.of(context).each(
        lambda one: one.call(context, "releases.mark", asked, reads=False)
    ).complete()


@step(title="Record the release as good on the hosts, remove old ones", limit=minutes(3))
def record(
    context: Context, release: str, before: list[str], sequence: int, backup: str | None
) -> None:
    """Mark the release as one that served, so that a rollback may choose it; then remove what nothing needs any more.

    Args:
        context: Surroundings.
        release: The release.
        before: Releases that served until now: they stay.
        sequence: Its number: the newest, also of one from before, since the way back leads to what served until now.
        backup: Id of the backup made before its migrations.
    """
    facts: dict[str, Any] = {
        "good": True,
        "sequence": sequence,
        "actor": context.actor,
        "left_out": dict(context.settings.left_out),
        **({"backup": backup} if backup else {}),
    }
    mark(context, release, facts)
    settings = context.settings
    known = releases.load(settings, release)
    releases.save(settings, dataclasses.replace(known, **facts))
    asked = {
        "project": fleet.project(settings),
        "keep": [release, *before],
        "count": settings.environment.keep_releases,
    }
    found = machines.of(context).each(
        lambda one: one.call(context, "releases.prune", asked, reads=False)
    )
    for name, each in found.done.items():
        for line in each["removed"]:
            context.note(f"{name}: removed {line}")
    for error in found.failed.values():  # a release that serves well is not taken back for tidiness
        context.note(f"could not remove old releases: {error}")
    _tidy(context, {release, *before})


def _tidy(context: Context, keep: set[str]) -> None:
    """Remove what this machine has of releases that are too old; what the hosts need of them, they have."""
    for each in prune.superfluous(context.settings, keep):
        try:
            images.untag(context, each)
        except OpsError as error:
            context.note(f"could not remove the images of {each.id}: {error}")
    prune.tidy(context, keep)


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
