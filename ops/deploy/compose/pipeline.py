"""What a deploy and a rollback to containers on hosts do, step by step."""

from __future__ import annotations

from typing import Any

from ops.deploy import build, checkout, earlier, git
from ops.deploy import pipeline as common
from ops.deploy import releases
from ops.deploy.compose import fleet, images, steps, wanted
from ops.hosts.haproxy import SLOTS
from ops.kernel.context import Context
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.settings.models import Settings


def deploy(context: Context, ref: str) -> Plan:
    """Plan the deploy of a git ref.

    Args:
        context: Surroundings.
        ref: Branch, tag or commit; empty for HEAD, or the working tree where the environment allows it.
    """
    settings = context.settings
    common.refuse_undescribed(settings)
    common.resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = fleet.observe(context)
    what = wanted.ahead(context, revision)
    if _serves(what, now):
        return common.nothing("deploy", settings, release)
    words = _changes(what, now)
    plan = [
        checkout.checkout.step(
            release=release,
            commit=revision.commit,
            ref=revision.ref,
            tree=revision.tree,
            dirty=revision.dirty,
        ),
        images.build.step(id="images", release=release),
        images.deliver.step(release=release, images=Ref("images", "ids")),
        *_ground(what, now),
        *common.database(context, release),
        *_roll_out(what, now),
        releases.record.step(
            release=release,
            backup=Ref("backup", "id") if settings.migrations else None,
            newest=True,
        ),
    ]
    summary = {
        "release": release,
        "commit": f"{revision.commit[:12]} ({revision.ref})",
        "serves now": now.shown(),
        **_noticed(settings.name, now),
        **words,
    }
    return Plan(
        "deploy",
        settings.name,
        target(settings),
        tuple(plan),
        {"now": now.seen(), "release": release},
        summary,
    )


def rollback(context: Context, to: str) -> Plan:
    """Plan the way back to an earlier release; one that is still warm in the other slot only needs the switch.

    Args:
        context: Surroundings.
        to: Release id; empty for the last good one before the release that serves.

    Raises:
        ConfigurationError: There is none, or it does not work with the database as it is now.
    """
    settings = context.settings
    now = fleet.observe(context)
    release = earlier.choose(settings, now.release, to).id
    what = wanted.of(context, release)
    if _serves(what, now):
        return common.nothing("rollback", settings, release)
    earlier.refuse_incompatible(context, releases.load(settings, release))
    plan = [
        images.build.step(id="images", release=release),
        images.deliver.step(release=release, images=Ref("images", "ids")),
        *_roll_out(what, now),
        releases.record.step(release=release, backup=None, newest=False),
    ]
    noticed = _noticed(settings.name, now)
    summary = {"release": release, "serves now": now.shown(), **noticed, **_changes(what, now)}
    seen = {"now": now.seen(), "release": release}
    return Plan("rollback", settings.name, target(settings), tuple(plan), seen, summary)


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
    lines = what.derive(slot, later, host.present).changes.lines(host.running)
    return {name: word for name, _, word in (line.partition(": ") for line in lines)}


def _noticed(environment: str, now: fleet.Fleet) -> dict[str, str]:
    """Return what is special about the hosts now, in words."""
    paged = [each.name for each in now if each.retry_after]
    changed = sorted({name for each in now for name in each.changed})
    page = f"is on on {', '.join(paged)} and stays on: inv maintenance.off --env {environment}"
    return {
        **({"maintenance page": page} if paged else {}),
        **({"changed by hand": f"{', '.join(changed)}: inv drift says how"} if changed else {}),
    }


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
        "images": Ref("deliver", "ids"),
    }


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
