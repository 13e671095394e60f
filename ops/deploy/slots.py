"""The two slots of an environment on this machine: which release is in which, start it, stop it.

A slot is a group of supervised processes. While one serves, the other is prepared (DESIGN.md 4).
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from ops.database import target
from ops.deploy import build, places, proxy, releases, static
from ops.hosts import supervisor
from ops.hosts.supervisor import Program
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Content:
    """What is in a slot.

    Args:
        release: Release id, empty when the slot is empty.
        digest: Hash of everything its processes were started with.
        running: Whether all of its processes run.
        stopped: Whether none of them is even known to the daemon.
    """

    release: str = ""
    digest: str = ""
    running: bool = False
    stopped: bool = True


def content(context: Context, slot: str) -> Content:
    """Look what is in a slot; changes nothing."""
    settings = context.settings
    daemon = supervisor.daemon_of(context)
    states = (
        [each.state for each in daemon.programs() if each.group == places.group(settings, slot)]
        if daemon.running()
        else []
    )
    try:
        record = json.loads(places.slot_file(settings, slot).read_text())
    except (OSError, ValueError):
        record = {"release": "", "digest": ""}
    running = bool(states) and all(state == "RUNNING" for state in states)
    return Content(record["release"], record["digest"], running, not states)


def digest(context: Context, release: releases.Release, url: SecretStr | None) -> str:
    """Hash everything that the release's processes are started with, secrets included."""
    values = [
        [name, release.services[name], variables(context, release, name, "", url)]
        for name in sorted(release.services)
    ]
    content = json.dumps([release.id, release.requirements, release.builds, values], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def variables(
    context: Context, release: releases.Release, service: str, slot: str, url: SecretStr | None
) -> dict[str, str]:
    """Return the environment of a service's process, with its secrets: only ever written to a 0600 file."""
    settings = context.settings
    described = release.service(service)
    found = {
        **build.command_environment(context, release),
        "PYTHONUNBUFFERED": "1",
        **described.environment,
        **settings.environment.environment,
        **{
            name: context.secrets.resolve(each).get_secret_value()
            for name, each in described.secrets.items()
        },
    }
    if settings.database is not None and url is not None:
        found[settings.database.variable] = url.get_secret_value()
    if slot and "{port}" in described.command:
        found["PORT"] = places.address(settings, service, described, slot).rpartition(":")[2]
    return found


def _programs(
    context: Context, release: releases.Release, slot: str, url: SecretStr | None
) -> list[Program]:
    settings = context.settings
    made = []
    for name in release.services:
        described = release.service(name)
        where = places.address(settings, name, described, slot)
        if described.is_static:
            made.append(
                static.program(
                    context, f"{places.group(settings, slot)}-{name}", release, name, where
                )
            )
            continue
        filled = described.command.format(
            socket=where.removeprefix("unix@"), port=where.rpartition(":")[2]
        )
        made.append(
            Program(
                name=f"{places.group(settings, slot)}-{name}",
                argv=shlex.split(filled),
                cwd=releases.folder(settings, release.id) / "app" / described.directory,
                environment=variables(context, release, name, slot, url),
                stop_seconds=described.stop_timeout,
            )
        )
    return made


def _runs(context: Context, slot: str, release: str) -> Done | None:
    now = content(context, slot)
    known = releases.load(context.settings, release)
    expected = digest(context, known, target.url(context))
    same = now.running and (now.release, now.digest) == (release, expected)
    return Done(f"runs already in {slot}") if same else None


def _stop_if_idle(context: Context, result: object, slot: str, release: str) -> None:
    settings = context.settings
    if proxy.serving(settings) in (slot, "mixed"):
        return
    supervisor.daemon_of(context).remove(places.group(settings, slot))
    files.remove(places.slot_file(settings, slot))


@step(title="Start the release in slot {slot}", limit=minutes(2), check=_runs, undo=_stop_if_idle)
def start(context: Context, slot: str, release: str) -> None:
    """Put a release into the idle slot: out of traffic first, then its processes.

    Raises:
        StepFailed: The slot is the only one that serves, or a process does not come up.
    """
    settings = context.settings
    there = releases.Placed(releases.load(settings, release), settings.environment.port)
    _fill(context, slot, there)


def _fill(context: Context, slot: str, placed: releases.Placed) -> None:
    settings, release = context.settings, placed.release
    proxy.take_out(context, slot)
    daemon = supervisor.daemon_of(context)
    daemon.remove(places.group(settings, slot))
    described = {name: release.service(name) for name in release.services}
    places.allocate_ports(settings, slot, described)
    url = target.url(context)
    record = {
        "release": release.id,
        "digest": digest(context, release, url),
        "described": asdict(release),
        "port": placed.port,
    }
    files.make_folder(places.slot_file(settings, slot).parent)
    files.write(places.slot_file(settings, slot), json.dumps(record))
    for name, service in described.items():
        where = places.address(settings, name, service, slot)
        if where.startswith("unix@"):
            files.remove(Path(where.removeprefix("unix@")))
    daemon.add(places.group(settings, slot), _programs(context, release, slot, url))
    daemon.wait_running(places.group(settings, slot))


def _is_stopped(context: Context, slot: str) -> Done | None:
    return Done("not running") if content(context, slot).stopped else None


def _start_again(context: Context, result: object, slot: str) -> None:
    before = releases.in_slot(context.settings, slot)
    if before is not None and not content(context, slot).running:
        _fill(context, slot, before)


@step(
    title="Stop slot {slot} when its requests have ended",
    limit=minutes(5),
    check=_is_stopped,
    undo=_start_again,
)
def retire(context: Context, slot: str) -> None:
    """Wait until the slot's requests have ended, then stop its processes.

    Raises:
        StepFailed: The slot serves.
    """
    settings = context.settings
    if proxy.serving(settings) in (slot, "mixed"):
        raise StepFailed(f"slot {slot} serves, it is not stopped")
    there = releases.in_slot(settings, slot)
    known = there.release if there else None
    limits = [known.service(name).stop_timeout for name in known.services] if known else []
    proxy.drain(context, slot, max(limits, default=30.0))
    supervisor.daemon_of(context).remove(places.group(settings, slot))
