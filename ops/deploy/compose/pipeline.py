"""What a deploy and a rollback to containers on hosts do, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from ops.deploy import build, checkout, earlier, git
from ops.deploy import pipeline as common
from ops.deploy import releases
from ops.deploy.compose import fleet, images, rollout, steps, wanted
from ops.deploy.compose.rollout import Move
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
    moves = rollout.moves(what, now)
    if not moves:
        return common.nothing("deploy", settings, release)
    words = {**_changes(what, moves), **rollout.words(what, moves, watched=True)}
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
        *_ground(what, moves),
        *common.database(context, release),
        *rollout.plan(what, moves, watched=True),
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
        **fleet.left_out(context),
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
    moves = rollout.moves(what, now)
    if not moves:
        return common.nothing("rollback", settings, release)
    earlier.refuse_incompatible(context, releases.load(settings, release))
    plan = [
        images.build.step(id="images", release=release),
        images.deliver.step(release=release, images=Ref("images", "ids")),
        *rollout.plan(what, moves, watched=False),
        releases.record.step(release=release, backup=None, newest=False),
    ]
    words = {**_changes(what, moves), **rollout.words(what, moves, watched=False)}
    noticed = _noticed(settings.name, now)
    now_shown = {"serves now": now.shown(), **fleet.left_out(context), **noticed}
    summary = {"release": release, **now_shown, **words}
    seen = {"now": now.seen(), "release": release}
    return Plan("rollback", settings.name, target(settings), tuple(plan), seen, summary)


def target(settings: Settings) -> str:
    """Return where the environment runs, for a person."""
    every = len(settings.environment.hosts)
    count = f"{every} host{'s' if every > 1 else ''}" if every else "this machine"
    left_out = len(settings.left_out)
    where = f"{every - left_out} of {count}" if left_out else count
    return f"containers of {settings.app.name} on {where}"


def _changes(what: wanted.Wanted, moves: Sequence[Move]) -> dict[str, str]:
    """Return what happens to the services of the first host, in words; the others run the same file."""
    host, slot = moves[0].host, moves[0].slot
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


def _ground(what: wanted.Wanted, moves: Sequence[Move]) -> list[Step]:
    """Return the steps that make the database ready for migrations."""
    settings = what.settings
    if settings.database is None or settings.migrations is None:
        return []
    started = [
        steps.ground.step(move.host.name, group="ground", **move.content(what.release))
        for move in moves
    ]
    installed = [build.dependencies.step(release=what.release)] if settings.python else []
    return [*started, *installed]
