"""What a deploy and a rollback do, step by step."""

from __future__ import annotations

from collections.abc import Mapping

from ops.database import target
from ops.deploy import (
    ahead,
    build,
    checkout,
    earlier,
    git,
    hostsetup,
    observe,
    policy,
    preflight,
    proxy,
    prune,
    releases,
    shared,
    slots,
    static,
    verify,
)
from ops.kernel.context import Context
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.settings.models import Service, Settings


def deploy(context: Context, ref: str, override: str = "") -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
        override: Reason to do it against the environment's policy, empty for none.
    """
    settings = context.settings
    shared.refuse_undescribed(settings)
    shared.resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = observe.observe(context)
    there = releases.known(settings, release)
    if there is not None:
        if observe.serves(context, now, releases.described_today(settings, there)):
            return shared.nothing("deploy", settings, release)
        earlier.refuse_incompatible(context, there)
    verdict = policy.judge(context, policy.findings(context, revision), override, "deploy")
    slot, before = observe.choose(now, release)
    previous = now.content(before).release
    after = earlier.after(releases.all_of(settings), release, {now.last}, newest=True)
    steps = [
        preflight.check.step(port=settings.environment.port),
        *hostsetup.steps(context),
        checkout.checkout.step(
            release=release,
            commit=revision.commit,
            ref=revision.ref,
            tree=revision.tree,
            dirty=revision.dirty,
            after=after,
        ),
        *shared.hooks(settings, release, "before_build"),
        *_build(release, settings.services, python=settings.python is not None),
        *shared.hooks(settings, release, "after_build"),
        *shared.database(context, release),
        *_roll_out(settings, release, slot, before),
        releases.record.step(
            release=release,
            backup=Ref("backup", "id") if settings.migrations else None,
            newest=True,
            after=after,
        ),
        prune.prune.step(keep=[each for each in (release, previous) if each]),
    ]
    summary = {
        "release": release,
        "commit": f"{revision.commit[:12]} ({revision.ref})",
        **_summary(context, previous),
        **verdict.summary,
    }
    if revision.left_out:
        summary["left out"] = "uncommitted changes of the working tree"
    before_ = releases.commit(settings, previous) if previous else None
    final = ahead.irreversible(context, revision, before_)
    summary |= shared.irreversible(final)
    return Plan(
        "deploy",
        settings.name,
        shared.words(settings),
        tuple(steps),
        {"now": now.seen(), "release": release},
        summary,
        destructive=bool(final),
        recorded=verdict.recorded,
    )


def rollback(context: Context, to: str, override: str = "") -> Plan:
    """Plan the way back to an earlier release.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.
        override: Reason to do it against the environment's policy, empty for none.

    Raises:
        ConfigurationError: There is none, or it does not work with the database as it is now.
    """
    settings = context.settings
    now = observe.observe(context)
    release = earlier.choose(settings, now.release, to, last=now.last, ending={now.ending})
    if observe.serves(context, now, release):
        return shared.nothing("rollback", settings, release.id)
    earlier.refuse_incompatible(context, release)
    found = policy.findings_of_rollback(context)
    verdict = policy.judge(context, found, override, "rollback")
    slot, before = observe.choose(now, release.id)
    after = earlier.after(releases.all_of(settings), release.id, {now.last}, newest=False)
    services = {name: release.service(name) for name in release.services}
    steps = [
        preflight.check.step(port=settings.environment.port),
        *hostsetup.steps(context),
        *_build(release.id, services, python=bool(release.requirements)),
        *_roll_out(settings, release.id, slot, before),
        releases.record.step(release=release.id, backup=None, newest=False, after=after),
    ]
    summary = {
        "release": release.id,
        **_summary(context, now.content(before).release),
        **verdict.summary,
    }
    return Plan(
        "rollback",
        settings.name,
        shared.words(settings),
        tuple(steps),
        {"now": now.seen(), "release": release.id},
        summary,
        recorded=verdict.recorded,
    )


def _build(release: str, services: Mapping[str, Service], *, python: bool) -> list[Step]:
    built = [
        build.build.step(name, id="build", group="build", release=release, service=name)
        for name, service in services.items()
        if service.build
    ]
    installed = [build.dependencies.step(group="build", release=release)] if python else []
    files = any(service.is_static for service in services.values())
    served = [static.install.step(group="build")] if files else []
    return [*installed, *built, *served]


def _roll_out(settings: Settings, release: str, slot: str, before: str) -> list[Step]:
    retired = [
        slots.retire.step(slot=before),
        verify.served.step("alone", id="health", release=release),
    ]
    return [
        slots.start.step(slot=slot, release=release),
        verify.ready.step(id="ready", slot=slot, release=release),
        proxy.ensure.step(id="proxy", release=release, before=before),
        *shared.hooks(settings, release, "before_switch"),
        proxy.switch.step(slot=slot, release=release, before=before),
        verify.served.step("switched", id="health", release=release),
        *shared.hooks(settings, release, "after_switch"),
        *(retired if before else []),
    ]


def _summary(context: Context, previous: str) -> dict[str, str]:
    settings = context.settings
    facts = {"serves now": previous or "nothing", "address": shared.url(settings)}
    if settings.database is not None:
        where = (
            "external, from ops.toml or DATABASE_URL"
            if target.is_external(context)
            else "embedded PostgreSQL"
        )
        facts["database"] = (
            f"{target.name(context)} ({where})" if not target.is_external(context) else where
        )
    return facts
