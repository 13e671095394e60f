"""`nox -s benchmark`: measure, print a table, compare with the last run; `-- --full` with the large database.

Absolute times belong to the machine; where a target is a ratio, both sides are measured in the same run. Nothing
fails here: a slow machine is no defect. Results go to `benchmark_results.json`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.kernel.report import Report, Table, render
from tests.benchmark import backup, composing, deploying, journal, listing, schema

RESULTS = Path("benchmark_results.json")


@dataclass(frozen=True)
class Row:
    """One result.

    Args:
        name: What was measured.
        value: Its number.
        unit: Of the number.
        target: The most that it should be; None for what is only compared with.
    """

    name: str
    value: float
    unit: str
    target: float | None


def measure() -> list[Row]:
    """Measure everything; takes about eleven minutes, with `--full` twenty-five."""
    list_ratio, ours, theirs = listing.ratio()
    steps = journal.measure()
    deploys = deploying.measure_deploys()
    drifts = schema.measure()
    megabytes = backup.FULL_SIZE if "--full" in sys.argv else backup.SIZE
    backups = backup.measure_backups(megabytes)
    database = f"database of {megabytes} MB"
    composed = composing.measure()
    runs = f"{composing.RUNS} runs"
    return [
        Row("inv --list, CPU against a trivial tasks.py", list_ratio, "times", 1.25),
        Row("inv --list, CPU", ours * 1000, "ms", theirs * 1000 * 1.25),
        Row("journal per step, against a bare sqlite3 loop", steps["journal_ratio"], "times", 3),
        Row("journal per step", steps["journal_step_ms"], "ms", steps["bare_step_ms"] * 3),
        Row("deploy with nothing to change", deploys.nothing, "s", 3),
        Row("deploy of new code, same dependencies", deploys.new_code, "s", 6),
        Row("memory of our process in a deploy", deploys.memory / 1e6, "MB", 256),
        Row(f"schema drifts missed, of {drifts.injected}", drifts.missed, "drifts", 0),
        Row("schema findings that are false", drifts.false, "findings", 0),
        Row("schema comparison, both sides dumped", drifts.seconds, "s", 0.5),
        Row(f"backup, {database}, against pg_dump | gzip", backups.backup, "times", 1 / 5),
        Row("the same without the start of the command", backups.single_pass, "times", 1 / 5),
        Row("memory of our process in a backup", backups.memory / 1e6, "MB", 100),
        Row(f"proof by data, {database}, against gunzip | psql", backups.proof, "times", 1 / 4),
        Row("scratch PostgreSQL up and down", backups.scratch, "s", 0.5),
        Row("Compose deploy, one host, built before", composed.idle, "s", 3),
        Row("the same under 200 requests a second", composed.loaded, "s", 4.5),
        Row("the script of the seeds under the same load", composed.naive, "s", None),
        Row("docker compose up -d alone under the same load", composed.bare, "s", None),
        Row("deploy against the script", composed.loaded / composed.naive, "times", 1),
        Row(f"requests that failed, deploy, {runs}", composed.failed, "requests", 0),
        Row(
            f"script and docker compose up -d, {runs} each", composed.failed_naive, "requests", None
        ),
        Row("Compose deploy with a worker, no load", composed.worker, "s", None),
        Row("Compose rollback to the warm slot", composed.rollback, "s", 2),
        Row(f"Compose deploy, {composing.HOSTS} hosts against 1", composed.many, "times", 1.6),
        Row("from the second crash to the deploy's end", composed.crash, "s", 5),
    ]


def main() -> None:
    """Measure, print, compare, write."""
    before = (
        {row["name"]: row["value"] for row in json.loads(RESULTS.read_text())}
        if RESULTS.is_file()
        else {}
    )
    rows = measure()
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    table = Table(
        ("measured", "result", "target", "last run"),
        [_cells(row, before.get(row.name)) for row in rows],
    )
    render(Report(f"written to {RESULTS}", tables=(table,)), "text", sys.stdout)


def _cells(row: Row, before: float | None) -> tuple[str, ...]:
    last = f"{before:.2f} ({(row.value / before - 1) * 100:+.0f} %)" if before else "-"
    target = "-" if row.target is None else f"at most {row.target:.2f}"
    return row.name, f"{row.value:.2f} {row.unit}", target, last


if __name__ == "__main__":
    main()
