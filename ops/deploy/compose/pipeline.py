"""What a deploy and a rollback to containers on hosts do, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from ops.deploy import ahead, build, checkout, earlier, git, policy, releases, shared
from ops.deploy.compose import fleet, images, kept, promote, registry, rollout, steps, wanted
from ops.deploy.compose.rollout import Move
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
    shared.refuse_undescribed(settings)
    shared.resolve_secrets(context)
    revision = git.resolve(context, ref)
    release = revision.release
    now = fleet.observe(context)
    what = wanted.ahead(context, revision)
    moves = rollout.moves(what, now)
    # One that a killed deploy switched to, and did not record, is deployed again: then it counts as good.
    if not moves and not now.unproved(release):
        return shared.nothing("deploy", settings, release)
    words = {**_changes(what, moves), **rollout.words(what, moves, watched=True)}
    for each in now.records:
        if each.id == release:
            earlier.refuse_incompatible(context, each, now.records)
    verdict = policy.judge(context, policy.findings(context, revision), override, "deploy")
    if settings.database is not None and settings.migrations is not None:
        from ops.database import reached  # only who has a database loads what speaks to one

        reached.refuse_several(context, what.model.services)
    registry.check(context)
    final = ahead.irreversible(context, revision, now.commit)
    history = kept.history(now, release)
    plan = [
        checkout.checkout.step(
            release=release,
            commit=revision.commit,
            ref=revision.ref,
            tree=revision.tree,
            dirty=revision.dirty,
            after=history["after"],
        ),
        *_images(settings, release, verdict),
        kept.describe.step(release=release, history=history),
        *_ground(what, moves),
        *shared.database(context, release),
        *rollout.plan(what, moves, watched=True),
        # While the old slot ends: the new one has proved itself by then.
        kept.record.step(
            group="retire",
            release=release,
            before=sorted({host.release for host in now} - {"", release}),
            sequence=kept.newest(now, release),
            backup=Ref("backup", "id") if settings.migrations else None,
            after=history["after"],
        ),
    ]
    summary = {
        "release": release,
        "commit": f"{revision.commit[:12]} ({revision.ref})",
        "serves now": now.shown(),
        **_noticed(settings.name, now),
        **fleet.left_out(context),
        **words,
        **shared.irreversible(final),
        **verdict.summary,
    }
    return Plan(
        "deploy",
        settings.name,
        target(settings),
        tuple(plan),
        {"now": now.seen(), "release": release},
        summary,
        destructive=bool(final),
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
    now = fleet.observe(context)
    chosen = kept.choose(context, now, to)
    release = chosen.id
    what = kept.again(context, now, release)
    moves = rollout.moves(what, now)
    if not moves:
        return shared.nothing("rollback", settings, release)
    found = policy.findings_of_rollback(context)
    verdict = policy.judge(context, found, override, "rollback")
    plan = [
        *_for_hooks(settings, chosen),
        *rollout.plan(what, moves, watched=False),
        *_forward(now, chosen),
    ]
    words = {**_changes(what, moves), **rollout.words(what, moves, watched=False)}
    noticed = _noticed(settings.name, now)
    now_shown = {"serves now": now.shown(), **fleet.left_out(context), **noticed}
    return Plan(
        "rollback",
        settings.name,
        target(settings),
        tuple(plan),
        {"now": now.seen(), "release": release},
        {"release": release, **now_shown, **words, **verdict.summary},
        recorded=verdict.recorded,
    )


def target(settings: Settings) -> str:
    """Return where the environment runs, for a person."""
    every = len(settings.environment.hosts)
    count = f"{every} host{'s' if every > 1 else ''}" if every else "this machine"
    left_out = len(settings.left_out)
    where = f"{every - left_out} of {count}" if left_out else count
    return f"containers of {settings.app.name} on {where}"


def _changes(what: wanted.Wanted, moves: Sequence[Move]) -> dict[str, str]:
    """Return what happens to the services of the first host, in words; the others run the same file."""
    if not moves:
        return {"services": "untouched, the release is only recorded"}
    host, slot = moves[0].host, moves[0].slot
    later = dict.fromkeys({*what.settings.services, *what.built}, f"of {what.release}")
    lines = what.derive(slot, later, host.present).changes.lines(host.running)
    words = {name: word for name, _, word in (line.partition(": ") for line in lines)}
    if not moves[0].filled:
        words |= dict.fromkeys(what.settings.services, f"is warm in slot {slot}")
    return words


def _noticed(environment: str, now: fleet.Fleet) -> dict[str, str]:
    """Return what is special about the hosts now, in words."""
    paged = [each.name for each in now if each.retry_after]
    # Where nothing serves a deploy has failed, and nobody took away what it did not start.
    changed = sorted({name for each in now if each.release for name in each.changed})
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
        steps.ground.step(
            move.host.name, group="ground", **move.content(what.release, brought=True)
        )
        for move in moves
    ]
    installed = [build.dependencies.step(release=what.release)] if settings.python else []
    return [*started, *installed]


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
            after=release.after,
        )
    ]


def _forward(now: fleet.Fleet, release: releases.Release) -> list[Step]:
    """Return the step that records what a newer release comes after now; on the way back there is nothing to record."""
    after = kept.after(now, release.id, newest=False)
    if after == release.after:
        return []
    return [kept.follow.step(group="retire", release=release.id, after=after, before=release.after)]


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
