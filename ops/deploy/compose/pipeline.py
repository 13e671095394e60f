"""What a deploy and a rollback to containers on hosts do, step by step."""

from __future__ import annotations

from ops.deploy import checkout, earlier, git, releases
from ops.deploy import pipeline as common
from ops.deploy import releases
from ops.deploy.compose import fleet, images, steps, wanted
from ops.deploy.compose.fleet import Host
from ops.kernel import files
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
    with files.scratch("invops-plan-") as folder:
        git.export(context, revision.tree, revision.dirty, folder / "all", whole=True)
        what = wanted.read(context, folder / "all", release)
        if all(_serves(what, host) for host in now):
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
        *common.database(context, release),
        *_roll_out(settings, now, release),
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
    if all(_serves(what, host) for host in now):
        return common.nothing("rollback", settings, release)
    earlier.refuse_incompatible(context, releases.load(settings, release))
    plan = [
        images.build.step(id="images", release=release),
        images.deliver.step(release=release, images=Ref("images", "ids")),
        *_roll_out(settings, now, release),
        releases.record.step(release=release, backup=None, newest=False),
    ]
    summary = {"release": release, "serves now": now.shown(), **_changes(what, now)}
    seen = {"now": now.seen(), "release": release}
    return Plan("rollback", settings.name, target(settings), tuple(plan), seen, summary)


def target(settings: Settings) -> str:
    """Return where the environment runs, for a person."""
    hosts = settings.environment.hosts
    where = f"{len(hosts)} host{'s' if len(hosts) > 1 else ''}" if hosts else "this machine"
    return f"containers of {settings.app.name} on {where}"


def _serves(what: wanted.Wanted, host: Host) -> bool:
    """Say whether a host serves exactly this: release, definitions and values."""
    slot = host.serving
    if host.release != what.release or host.present is None:
        return False
    there = host.present["services"]
    mine = [
        name
        for name in there
        if name.endswith(f"-{slot}") and name.removesuffix(f"-{slot}") in what.settings.services
    ]
    pinned = {name.removesuffix(f"-{slot}"): there[name]["image"] for name in mine}
    others = {name: there[name]["image"] for name in what.built if name in there}
    if set(pinned) != set(what.settings.services) or not {*mine, "invops-proxy"} <= host.running:
        return False
    expected = what.derive(slot, {**pinned, **others}, host.present).document["services"]
    return all(there.get(name) == each for name, each in expected.items())


def _changes(what: wanted.Wanted, now: fleet.Fleet) -> dict[str, str]:
    """Return what happens to the services of the first host, in words; the others run the same file."""
    host = now.hosts[0]
    slot, _ = host.choose(what.release)
    later = {name: f"of {what.release}" for name in {*what.settings.services, *what.built}}
    lines = what.derive(slot, later, host.present).changes.lines()
    return {name: word for name, _, word in (line.partition(": ") for line in lines)}


def _roll_out(settings: Settings, now: fleet.Fleet, release: str) -> list[Step]:
    chosen = {host.name: host.choose(release) for host in now}
    return [
        *(
            steps.prepare.step(
                name,
                group="prepare",
                host=name,
                slot=slot,
                release=release,
                before=before,
                images=Ref("deliver", "ids"),
            )
            for name, (slot, before) in chosen.items()
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
