"""What a deploy and a rollback do, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ops.database import target
from ops.deploy import (
    ahead,
    build,
    checkout,
    earlier,
    gate,
    git,
    hostsetup,
    observe,
    policy,
    preflight,
    proxy,
    prune,
    releases,
    safeguard,
    slots,
    static,
    verify,
)
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.report import Report
from ops.kernel.settings import addresses
from ops.kernel.settings.models import Service, Settings

PENDING = "migrations are pending"


def deploy(context: Context, ref: str, override: str = "") -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
        override: Reason to do it against the environment's policy, empty for none.
    """
    settings = context.settings
    refuse_undescribed(settings)
    resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = observe.observe(context)
    there = releases.known(settings, release)
    if there is not None:
        if observe.serves(context, now, releases.described_today(settings, there)):
            return nothing("deploy", settings, release)
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
        *hooks(settings, release, "before_build"),
        *_build(release, settings.services, python=settings.python is not None),
        *hooks(settings, release, "after_build"),
        *database(context, release),
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
    summary |= irreversible(final)
    return Plan(
        "deploy",
        settings.name,
        _target(settings),
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
        return nothing("rollback", settings, release.id)
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
        _target(settings),
        tuple(steps),
        {"now": now.seen(), "release": release.id},
        summary,
        recorded=verdict.recorded,
    )


def url(settings: Settings) -> str:
    """Return where the environment is reached."""
    chosen = settings.environment
    if chosen.domain:
        return f"https://{chosen.domain}"
    hosts = [addresses.parse(each).host for each in chosen.hosts] or ["127.0.0.1"]
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    port = "" if chosen.port == 80 else f":{chosen.port}"
    return ", ".join(f"http://{host}{port}" for host in shown)


def announce(report: Report, settings: Settings) -> Report:
    """Add to the report of a finished run where the application is reached."""
    if report.exit_code or "run" not in report.data:
        return report
    address = url(settings)
    return replace(
        report, facts={"address": address, **report.facts}, data={**report.data, "address": address}
    )


def nothing(operation: str, settings: Settings, release: str) -> Plan:
    """Return the plan for an environment where a release serves already."""
    why = f"{release} serves on {url(settings)}"
    return Plan(operation, settings.name, _target(settings), (), nothing=why)


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


def database(context: Context, release: str) -> list[Step]:
    """Return the steps of pending migrations: backup, proof, migration."""
    settings = context.settings
    if settings.database is None or settings.migrations is None:
        return []
    return [
        *hooks(settings, release, "before_migrate"),
        safeguard.backup.step(when=PENDING, release=release),
        safeguard.prove.step(
            when=PENDING, backup=Ref("backup", "id"), level=safeguard.level(context)
        ),
        gate.migrate.step(when=PENDING, release=release),
        *hooks(settings, release, "after_migrate"),
    ]


def _roll_out(settings: Settings, release: str, slot: str, before: str) -> list[Step]:
    retired = [
        slots.retire.step(slot=before),
        verify.served.step("alone", id="health", release=release),
    ]
    return [
        slots.start.step(slot=slot, release=release),
        verify.ready.step(id="ready", slot=slot, release=release),
        proxy.ensure.step(id="proxy", release=release, before=before),
        *hooks(settings, release, "before_switch"),
        proxy.switch.step(slot=slot, release=release, before=before),
        verify.served.step("switched", id="health", release=release),
        *hooks(settings, release, "after_switch"),
        *(retired if before else []),
    ]


def irreversible(names: Sequence[str]) -> dict[str, str]:
    """Return the words about migrations that no transaction takes back."""
    return (
        {"cannot be undone": f"migrations without a transaction: {', '.join(names)}"}
        if names
        else {}
    )


def hooks(settings: Settings, release: str, name: str) -> list[Step]:
    """Return the steps of one kind of hook."""
    commands = getattr(settings.hooks, name)
    return [
        build.hook.step(f"{name}.{number}", release=release, name=name, command=command)
        for number, command in enumerate(commands, 1)
    ]


def refuse_undescribed(settings: Settings) -> None:
    """Refuse an ops.toml without services."""
    if not settings.services:
        raise ConfigurationError(
            "ops.toml describes no service", hint="add [services.NAME] with a command"
        )


def resolve_secrets(context: Context) -> None:
    """Find out before the first change that a secret is missing."""
    for service in context.settings.services.values():
        for reference in service.secrets.values():
            context.secrets.resolve(reference)


def _target(settings: Settings) -> str:
    return f"{settings.environment.target} processes of {settings.app.name}"


def _summary(context: Context, previous: str) -> dict[str, str]:
    settings = context.settings
    facts = {"serves now": previous or "nothing", "address": url(settings)}
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
