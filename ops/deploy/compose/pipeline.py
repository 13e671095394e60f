"""What a deploy and a rollback to containers on hosts do, step by step."""

from __future__ import annotations

from typing import Any

from ops.deploy import build, checkout, earlier, git
from ops.deploy import pipeline as common
from ops.deploy import policy, releases
from ops.deploy.compose import fleet, images, kept, promote, registry, steps, wanted
from ops.hosts import machines
from ops.hosts.haproxy import SLOTS
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.settings.models import Settings


def deploy(context: Context, ref: str, override: str = "") -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
        override: Reason to do it against the environment's policy, empty for none.
    """
    settings = context.settings
    common.refuse_undescribed(settings)
    common.resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = fleet.observe(context)
    with files.scratch("invops-plan-") as folder:
        git.export(context, revision.tree, revision.dirty, folder / "all", whole=True)
        what = wanted.read(context, folder / "all", release)
        # One that a killed deploy switched to, and did not record, is deployed again: then it counts as good.
        if _serves(what, now) and not now.unproved(release):
            return common.nothing("deploy", settings, release)
        words = _changes(what, now)
    for each in now.records:
        if each.id == release:
            earlier.refuse_incompatible(context, each, now.records)
    verdict = policy.judge(context, policy.findings(context, revision), override, "deploy")
    registry.check(context)
    plan = [
        checkout.checkout.step(
            release=release,
            commit=revision.commit,
            ref=revision.ref,
            tree=revision.tree,
            dirty=revision.dirty,
        ),
        *_images(settings, release, verdict),
        kept.keep.step(
            release=release,
            history=kept.history(now, release),
            images=Ref("deliver", "ids"),
            references=Ref("deliver", "references"),
        ),
        *_ground(what, now),
        *common.database(context, release),
        *_roll_out(what, now),
        kept.record.step(
            release=release,
            before=sorted({host.release for host in now} - {"", release}),
            sequence=kept.newest(now, release),
            backup=Ref("backup", "id") if settings.migrations else None,
        ),
    ]
    summary = {
        "release": release,
        "commit": f"{revision.commit[:12]} ({revision.ref})",
        "serves now": now.shown(),
        **words,
        **verdict.summary,
    }
    return Plan(
        "deploy",
        settings.name,
        target(settings),
        tuple(plan),
        {"now": now.seen(), "release": release},
        summary,
        recorded=verdict.recorded,
    )


def rollback(context: Context, to: str, override: str = "") -> Plan:
    """Plan the way back to an earlier release; one that is still warm in the other slot only needs the switch.

    What it takes is on the hosts: neither a checkout nor an image is needed here.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.
        override: Reason to do it against the environment's policy, empty for none.

    Raises:
        ConfigurationError: There is none that every host can run, or it does not work with the database as it is now.
    """
    settings = context.settings
    now = fleet.observe(context, images=True)
    chosen = kept.choose(context, now, to)
    release = chosen.id
    what, _ = kept.read(context, machines.of(context)[now.hosts[0].name], release)
    if _serves(what, now):
        return common.nothing("rollback", settings, release)
    found = policy.findings_of_rollback(context)
    verdict = policy.judge(context, found, override, "rollback")
    plan = [*_for_hooks(settings, chosen), *_roll_out(what, now)]
    summary = {
        "release": release,
        "serves now": now.shown(),
        **_changes(what, now),
        **verdict.summary,
    }
    return Plan(
        "rollback",
        settings.name,
        target(settings),
        tuple(plan),
        {"now": now.seen(), "release": release},
        summary,
        recorded=verdict.recorded,
    )


def target(settings: Settings) -> str:
    """Return where the environment runs, for a person."""
    hosts = settings.environment.hosts
    where = f"{len(hosts)} host{'s' if len(hosts) > 1 else ''}" if hosts else "this machine"
    return f"containers of {settings.app.name} on {where}"


def _serves(what: wanted.Wanted, now: fleet.Fleet) -> bool:
    return all(each.serving in SLOTS and what.is_in(each, each.serving, warm=False) for each in now)


def _changes(what: wanted.Wanted, now: fleet.Fleet) -> dict[str, str]:
    """Return what happens to the services of the first host, in words; the others run the same file."""
    host = now.hosts[0]
    slot, _ = host.choose(what.release)
    later = dict.fromkeys({*what.settings.services, *what.built}, f"of {what.release}")
    lines = what.derive(slot, later, host.present).changes.lines()
    return {name: word for name, _, word in (line.partition(": ") for line in lines)}


def _ground(what: wanted.Wanted, now: fleet.Fleet) -> list[Step]:
    """Return the steps that make the database ready for migrations."""
    settings = what.settings
    if settings.database is None or settings.migrations is None:
        return []
    started = [steps.ground.step(host.name, group="ground", **_content(what, host)) for host in now]
    installed = [build.dependencies.step(release=what.release)] if settings.python else []
    return [*started, *installed]


def _content(what: wanted.Wanted, host: fleet.Host) -> dict[str, Any]:
    slot, before = host.choose(what.release)
    return {
        "host": host.name,
        "slot": slot,
        "release": what.release,
        "before": before,
    }


def _for_hooks(settings: Settings, release: releases.Release) -> list[Step]:
    """Return the step that unpacks a release where the hooks of its switch run; nothing else needs it here."""
    if not (settings.hooks.before_switch or settings.hooks.after_switch):
        return []
    return [
        checkout.checkout.step(
            release=release.id,
            commit=release.commit,
            ref=release.ref,
            tree=release.tree,
            dirty=release.dirty,
        )
    ]


def _images(settings: Settings, release: str, verdict: policy.Verdict) -> list[Step]:
    """Return the steps that bring the images: those that another environment has proved, else built ones."""
    source = settings.environment.policy.after
    broken = {each.rule for each in verdict.overridden}
    if source and settings.environments[source].target == "compose" and "after" not in broken:
        return [promote.promote.step(id="deliver", release=release, environment=source)]
    return [
        images.build.step(id="images", release=release),
        images.deliver.step(release=release, images=Ref("images", "ids")),
    ]


def _roll_out(what: wanted.Wanted, now: fleet.Fleet) -> list[Step]:
    settings, release = what.settings, what.release
    chosen = {host.name: host.choose(release) for host in now}
    warm = {host.name for host in now if what.is_in(host, chosen[host.name][0], warm=True)}
    return [
        *(
            steps.prepare.step(host.name, group="prepare", **_content(what, host))
            for host in now
            if host.name not in warm
        ),
        *common.hooks(settings, release, "before_switch"),
        *(
            steps.switch.step(
                name, group="switch", host=name, slot=slot, release=release, before=before
            )
            for name, (slot, before) in chosen.items()
        ),
        *common.hooks(settings, release, "after_switch"),
        *(
            steps.retire.step(name, group="retire", host=name, slot=before)
            for name, (_, before) in chosen.items()
            if before
        ),
    ]
