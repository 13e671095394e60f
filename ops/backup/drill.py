"""`inv backup.verify`: its plan, its step, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ops.backup import catalog, measures, storage, verify
from ops.backup.manifest import LEVELS, Manifest, Proof
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import step

LIMIT: Final = minutes(240)


@dataclass(frozen=True)
class Proved:
    """The verdict on a backup that passed."""

    id: str
    verdict: str
    level: str
    seconds: float


class NotProved(OpsError):
    """A backup did not pass: FAILED, or UNVERIFIABLE on this machine.

    Args:
        manifest: Of the backup.
        proof: The verdict.
    """

    def __init__(self, manifest: Manifest, proof: Proof) -> None:
        super().__init__(
            f"backup {manifest.id} is {proof.verdict} at level {proof.level}",
            why=proof.reason,
            hint="take another one: inv backup" if proof.verdict == "FAILED" else "",
        )
        self.id = manifest.id
        self.proof = proof


def plan(context: Context, id: str, level: str) -> Plan:
    """Plan the verification of a backup.

    Args:
        context: Surroundings.
        id: Which; empty for the newest.
        level: How far, see `Level`.

    Raises:
        ConfigurationError: Unknown level or backup.
    """
    if level not in LEVELS:
        raise ConfigurationError(
            f"--level {level!r} is none of {', '.join(LEVELS)}", hint="--level data"
        )
    manifest = catalog.find(context, id)
    last = manifest.proof
    return Plan(
        "backup verify",
        context.settings.name,
        f"backup {manifest.id} of {manifest.database}",
        (prove.step(backup=manifest.id, level=level),),
        {"sha256": manifest.sha256, "proofs": len(manifest.proofs)},
        {
            "archive": f"{manifest.archive}, {measures.size(manifest.size)}",
            "in": storage.of(context).where,
            "last proof": f"{last.verdict} at level {last.level}, {last.at}" if last else "none",
        },
    )


@step(title="Prove backup {backup} to level {level}", limit=LIMIT, interruptible=True)
def prove(context: Context, backup: str, level: str) -> Proved:
    """Prove a backup.

    Raises:
        NotProved: It did not pass; the verdict is in its manifest.
    """
    manifest = catalog.find(context, backup)
    (wanted,) = (each for each in LEVELS if each == level)
    proof = verify.prove(context, manifest, wanted)
    if proof.verdict != "PASSED":
        raise NotProved(manifest, proof)
    return Proved(manifest.id, proof.verdict, proof.level, proof.seconds)


def told(run: Callable[[], Report]) -> Report:
    """Run a verification and return its answer with the verdict in it.

    Not proved is exit 1 whatever the reason, so that a nightly job goes red. JSON tells both apart: `status` is `error`
    for FAILED (the backup is broken) and `difference` for UNVERIFIABLE (this machine cannot tell).
    """
    try:
        report = run()
    except NotProved as error:
        proof = error.proof
        data = {"id": error.id, "verdict": proof.verdict, "level": proof.level}
        return Report(
            error.what,
            status="error" if proof.verdict == "FAILED" else "difference",
            facts={"why": proof.reason},
            hints=(error.hint,) if error.hint else (),
            data={**data, "reason": proof.reason, "seconds": proof.seconds},
            exit_code=exits.GENERAL,
        )
    results = report.data.get("results")
    if not results:
        return report
    done = results["prove"]
    summary = f"backup {done['id']} is {done['verdict']} at level {done['level']}"
    data = {**report.data, **done, "reason": ""}
    return Report(f"{summary} in {done['seconds']:.1f} s", facts=report.facts, data=data)
