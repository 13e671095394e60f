"""Before migrations: a backup of the database, and the proof that it can be brought back."""

from __future__ import annotations

from dataclasses import dataclass

from ops.backup import catalog, engines, make, measures, verify
from ops.backup.manifest import Level, Manifest
from ops.database import target
from ops.deploy import gate
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Backed:
    """The backup that a deploy made.

    Args:
        id: Of the backup.
        restore: Command that brings the database back to it.
    """

    id: str
    restore: str


def level(context: Context) -> Level:
    """Return how far a backup is proved in this environment before migrations run."""
    settings = context.settings
    return settings.environment.backup_proof or settings.backup.proof


def way_back(context: Context, id: str) -> str:
    """Return the command that brings the database back to a backup."""
    return f"inv backup.restore --id {id} --replace --env {context.settings.name}"


def _needless(context: Context, release: str) -> Done | None:
    if not gate.pending(context, release):
        return Done("no migration is pending")
    engine = engines.dumper(target.described(context).engine)
    if engine.empty(context, target.owner_url(context)):
        return Done("the database has no tables yet")
    made = make.made(context)
    return _done(context, made) if made else None


@step(title="Back up the database", limit=minutes(30), check=_needless)
def backup(context: Context, release: str) -> Backed:
    """Back the database up; a failure stops the deploy here. The backup stays after a failed deploy."""
    made = make.take(context, target.owner_url(context), purpose="deploy", release=release)
    context.note(f"backup {made.id}, {_described(made)}; back to it: {way_back(context, made.id)}")
    return Backed(made.id, way_back(context, made.id))


def _needs_no_proof(context: Context, backup: str | None, level: str) -> Done | None:
    if backup is None:
        return Done("no backup was needed")
    found = catalog.find(context, backup).proof
    if found and (found.level, found.verdict) == (level, "PASSED"):
        return Done("it is proved already")
    return None


@step(title="Prove the backup: {level}", limit=minutes(60), check=_needs_no_proof)
def prove(context: Context, backup: str | None, level: Level) -> None:
    """Try to bring the backup back; migrations run only after it passed.

    Raises:
        StepFailed: It did not pass, or could not be tried here.
    """
    assert backup is not None
    proof = verify.prove(context, catalog.find(context, backup), level)
    if proof.verdict == "PASSED":
        return
    lower = 'or ask for less: backup_proof = "decode" in ops.toml'
    raise StepFailed(
        f"backup {backup} is {proof.verdict} at level {level}: no migration runs",
        why=proof.reason,
        hint=f"mend what it says{f', {lower}' if proof.verdict == 'UNVERIFIABLE' else ''}",
    )


def _done(context: Context, made: Manifest) -> Done:
    return Done(f"backup {made.id} is there", Backed(made.id, way_back(context, made.id)))


def _described(made: Manifest) -> str:
    rows = sum(each.rows for each in made.inventory.tables)
    tables = measures.counted(len(made.inventory.tables), "table")
    return f"{tables}, {measures.counted(rows, 'row')}, {measures.size(made.size)}"
