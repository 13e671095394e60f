"""`inv backup.prune`: remove what the rules do not keep, after a success only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ops.backup import catalog, measures, retention, storage
from ops.backup.catalog import Catalog
from ops.backup.manifest import SUFFIX, Manifest
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import NotPermitted, StepFailed
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Pruned:
    """What was removed.

    Args:
        removed: Names in the store.
        refused: Names that the store keeps under a lock, with its reason.
    """

    removed: list[str]
    refused: dict[str, str]


def plan(context: Context) -> Plan:
    """Plan the removal of backups beyond the rules.

    Raises:
        StepFailed: No backup is proved, or the newest one failed its verification.
    """
    settings = context.settings
    store = storage.of(context)
    store.check()
    found = catalog.look(store)
    rules = {
        "last": settings.backup.keep_last,
        "daily": settings.backup.keep_daily,
        "weekly": settings.backup.keep_weekly,
        "monthly": settings.backup.keep_monthly,
    }
    kept = retention.keep(found.complete, **rules)
    going = [each for each in found.complete if each.id not in kept]
    left = _left_over(found)
    target = f"backups in {store.where}"
    if not (going or left):
        count = len(found.complete)
        return Plan("prune", settings.name, target, (), nothing=f"the rules keep all {count}")
    _refuse_without_success(settings.name, found.complete)
    names = [name for each in going for name in (each.archive, each.file)] + list(left)
    sizes = {each.name: each.size for each in found.without_manifest}
    summary = {
        "rules": ", ".join(f"{rule} {count}" for rule, count in rules.items()),
        "stay": measures.counted(len(kept), "backup"),
        "go": f"{measures.counted(len(going), 'backup')}, {measures.size(sum(each.size for each in going))}",
        **{each.id: _described(each) for each in going},
        **{name: _described_left(name, sizes) for name in left},
    }
    steps = (remove.step(names=names),)
    return Plan("prune", settings.name, target, steps, {"going": names}, summary, destructive=True)


def _all_gone(context: Context, names: list[str]) -> Done | None:
    there = {each.name for each in storage.of(context).entries()}
    gone = there.isdisjoint(names)
    return Done("they are gone already", Pruned([], {})) if gone else None


@step(title="Remove old backups", limit=minutes(30), check=_all_gone)
def remove(context: Context, names: list[str]) -> Pruned:
    """Remove objects of the store in this order: an archive before its manifest.

    A manifest without its archive is no backup to anybody, so a killed run leaves nothing that is only listed. One
    that the store keeps under a lock is named, and the others go on.

    Raises:
        NotPermitted: The store refuses every one.
    """
    store = storage.of(context)
    removed: list[str] = []
    refused: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        context.deadline.check("removing old backups")
        context.progress(f"{name}, {number} of {len(names)}", number, len(names))
        if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in {_id(each) for each in refused}:
            continue
        try:
            store.delete(name)
        except NotPermitted as error:
            refused[name] = str(error)
            context.note(f"kept {name}: {error}")
        else:
            removed.append(name)
    if refused and not removed:
        name, why = next(iter(refused.items()))
        raise NotPermitted(f"the store refuses to remove {name}", why=why)
    return Pruned(removed, refused)


def announce(report: Report) -> Report:
    """Add to the report of a finished run what is gone."""
    pruned = (report.data.get("results") or {}).get("remove")
    if report.exit_code or not pruned:
        return report
    gone = sum(not name.endswith(SUFFIX) for name in pruned["removed"])
    facts = {"removed": measures.counted(gone, "archive")}
    if pruned["refused"]:
        facts["kept"] = "; ".join(f"{name}: {why}" for name, why in pruned["refused"].items())
    return replace(report, facts={**facts, **report.facts}, data={**report.data, **pruned})


def _refuse_without_success(environment: str, complete: Sequence[Manifest]) -> None:
    """Rules remove old backups because newer ones are good: without a proof of that nothing goes."""
    verify = f"inv backup.verify --env {environment}"
    if complete and not retention.is_good(complete[0]):
        raise StepFailed(
            f"nothing is pruned: the newest backup {complete[0].id} failed its verification",
            hint=f"take a new one and prove it: inv backup --env {environment}, then {verify}",
        )
    if not any(each.proved for each in complete):
        raise StepFailed("nothing is pruned: no backup is proved", hint=f"prove one: {verify}")


def _left_over(found: Catalog) -> list[str]:
    """Return what killed runs left: archives and manifests without the other, older than the newest backup.

    A damaged manifest stays with its archive: a person may still want it.
    """
    newest = found.complete[0].id if found.complete else ""
    names = [each.name for each in found.without_manifest]
    names += [f"{id}{SUFFIX}" for id in found.without_archive]
    return sorted(name for name in names if _id(name) < newest)


def _described(manifest: Manifest) -> str:
    state = "" if retention.is_good(manifest) else ", failed its verification"
    return f"{measures.size(manifest.size)}, {measures.days(manifest.created)}{state}"


def _described_left(name: str, sizes: dict[str, int]) -> str:
    if name in sizes:
        return f"{measures.size(sizes[name])}, an archive without manifest"
    return "a manifest without archive"


def _id(name: str) -> str:
    return name.partition(".")[0]
