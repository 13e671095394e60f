"""What a deploy and a rollback do, step by step."""

from __future__ import annotations

from dataclasses import replace

from ops.deploy import build, gate, git, hostsetup, observe, preflight, proxy, releases, slots, static, verify
from ops.hosts import home
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.lock import FileLock, Lock
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.report import Report
from ops.kernel.settings.models import Settings

PENDING = "migrations are pending"


def lock(context: Context) -> Lock:
    """Return the lock of the environment, on its target."""
    return FileLock(home.of(context.settings).environment(context.settings.name) / "lock")


def deploy(context: Context, ref: str) -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
    """
    settings = context.settings
    _refuse_undescribed(settings)
    _resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = observe.observe(context)
    if observe.serves(context, now, release):
        return Plan("deploy", settings.name, _target(settings), (), nothing=f"{release} serves on {url(settings)}")
    slot, before = observe.choose(now, release)
    previous = now.content(before).release
    steps = [
        preflight.check.step(port=settings.environment.port),
        *hostsetup.steps(context),
        releases.checkout.step(
            release=release, commit=revision.commit, ref=revision.ref, tree=revision.tree, dirty=revision.dirty
        ),
        *_hooks(settings, release, "before_build"),
        *_build(settings, release),
        *_hooks(settings, release, "after_build"),
        *_database(settings, release),
        *_roll_out(context, release, slot, before, previous),
        releases.record.step(release=release, backup=Ref("backup", "path") if settings.migrations else None),
        releases.prune.step(keep=[each for each in (release, previous) if each]),
    ]
    summary = {"release": release, "commit": f"{revision.commit[:12]} ({revision.ref})", **_summary(context, previous)}
    if revision.left_out:
        summary["left out"] = "uncommitted changes of the working tree"
    return Plan("deploy", settings.name, _target(settings), tuple(steps), {"now": now.seen(), "release": release}, summary)


def rollback(context: Context, to: str) -> Plan:
    """Plan the way back to an earlier release.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.

    Raises:
        ConfigurationError: There is none, or it does not work with the database as it is now.
    """
    settings = context.settings
    now = observe.observe(context)
    release = _release_before(settings, now.release, to)
    if observe.serves(context, now, release.id):
        return Plan("rollback", settings.name, _target(settings), (), nothing=f"{release.id} serves on {url(settings)}")
    _refuse_incompatible(settings, release, now.release)
    slot, before = observe.choose(now, release.id)
    previous = now.content(before).release
    steps = [
        preflight.check.step(port=settings.environment.port),
        *hostsetup.steps(context),
        *_build(settings, release.id),
        *_roll_out(context, release.id, slot, before, previous),
        releases.record.step(release=release.id, backup=None),
    ]
    summary = {"release": release.id, **_summary(context, previous)}
    seen = {"now": now.seen(), "release": release.id}
    return Plan("rollback", settings.name, _target(settings), tuple(steps), seen, summary)


def url(settings: Settings) -> str:
    """Return where the environment is reached."""
    return f"http://127.0.0.1:{settings.environment.port}"


def announce(report: Report, settings: Settings) -> Report:
    """Add to the report of a finished run where the application is reached."""
    if report.exit_code or "run" not in report.data:
        return report
    address = url(settings)
    return replace(report, facts={"address": address, **report.facts}, data={**report.data, "address": address})


def _build(settings: Settings, release: str) -> list[Step]:
    built = [
        build.build.step(name, id="build", group="build", release=release, service=name)
        for name, service in settings.services.items()
        if service.build
    ]
    installed = [build.dependencies.step(group="build", release=release)] if settings.python else []
    served = [static.install.step(group="build")] if any(s.is_static for s in settings.services.values()) else []
    return [*installed, *built, *served]


def _database(settings: Settings, release: str) -> list[Step]:
    if settings.database is None or settings.migrations is None:
        return []
    return [
        *_hooks(settings, release, "before_migrate"),
        gate.backup.step(when=PENDING, release=release),
        gate.migrate.step(when=PENDING, release=release),
        *_hooks(settings, release, "after_migrate"),
    ]


def _roll_out(context: Context, release: str, slot: str, before: str, previous: str) -> list[Step]:
    settings = context.settings
    retire = slots.retire.step(slot=before, release=previous) if before else None
    return [
        slots.start.step(slot=slot, release=release),
        verify.ready.step(id="ready", slot=slot, release=release),
        proxy.ensure.step(id="proxy", release=release, before=previous),
        *_hooks(settings, release, "before_switch"),
        proxy.switch.step(slot=slot, release=release, before=before, previous=previous),
        verify.served.step("switched", id="health", release=release),
        *_hooks(settings, release, "after_switch"),
        *([retire, verify.served.step("alone", id="health", release=release)] if retire else []),
    ]


def _hooks(settings: Settings, release: str, name: str) -> list[Step]:
    commands = getattr(settings.hooks, name)
    return [
        build.hook.step(f"{name}.{number}", release=release, name=name, command=command)
        for number, command in enumerate(commands, 1)
    ]


def _release_before(settings: Settings, serving: str, to: str) -> releases.Release:
    good = [each for each in releases.all_of(settings) if each.good]
    if to:
        matching = [each for each in good if each.id == to or each.commit.startswith(to)]
        if not matching:
            raise ConfigurationError(
                f"{to} is not a good release of {settings.name}", hint=f"inv releases --env {settings.name}"
            )
        return matching[0]
    current = next((each.sequence for each in good if each.id == serving), None)
    earlier = [each for each in good if each.id != serving and (current is None or each.sequence < current)]
    if not earlier:
        raise ConfigurationError(
            f"there is no release before {serving or 'the first'} in {settings.name}",
            hint=f"inv releases --env {settings.name}",
        )
    return earlier[0]


def _refuse_incompatible(settings: Settings, release: releases.Release, serving: str) -> None:
    newer = [each for each in releases.all_of(settings) if each.sequence > release.sequence and each.breaks_older]
    if newer:
        raise ConfigurationError(
            f"{release.id} does not work with the database that {newer[0].id} migrated",
            why="its migration says breaks-old",
            hint=f"deploy a fix, or restore the backup before it: {newer[0].backup or 'inv backup.list'}",
        )


def _refuse_undescribed(settings: Settings) -> None:
    if not settings.services:
        raise ConfigurationError("ops.toml describes no service", hint="add [services.NAME] with a command")


def _resolve_secrets(context: Context) -> None:
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
        where = "external, from ops.toml or DATABASE_URL" if gate.is_external(context) else "embedded PostgreSQL"
        facts["database"] = f"{gate.database_name(context)} ({where})" if not gate.is_external(context) else where
    return facts

