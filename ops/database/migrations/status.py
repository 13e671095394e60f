"""What `inv db.status` shows: every migration and its state, and the same as `migration_status.json`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import SecretStr

from ops.database import sql
from ops.database.migrations.model import Entry
from ops.kernel import exits, files
from ops.kernel.context import Context
from ops.kernel.history import LastMigration
from ops.kernel.report import Report, Table

_ORDER: Final = ("applied", "pending", "running", "changed", "missing")
_MEANING: Final = {
    "running": "begun and not ended: inv db.migrate goes on with it",
    "changed": "the file is another one than was applied",
    "missing": "applied, but there is no file",
}


def report(
    context: Context, url: SecretStr, found: Sequence[Entry], ended: Mapping[str, LastMigration]
) -> Report:
    """Return the report, and write it into .ops/reports/.

    Args:
        context: Surroundings.
        url: The database.
        found: Every migration.
        ended: The last record of each in our own history, by version.
    """
    rows = [_row(each, ended.get(each.id)) for each in found]
    counts = Counter(each["state"] for each in rows)
    wrong = [each for each in rows if each["state"] in _MEANING]
    place = sql.describe(url)
    shown = {state: counts[state] for state in (*_ORDER, "failed") if counts[state]}
    data: dict[str, Any] = {
        "environment": context.settings.name,
        "database": place,
        "checked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "counts": shown,
        "migrations": rows,
    }
    path = context.settings.ops_folder / "reports" / "migration_status.json"
    files.write_record(path, json.dumps(data, indent=2) + "\n")
    return Report(
        summary=_summary(shown, place),
        status="difference" if wrong else "ok",
        tables=[_table(rows)] if rows else [],
        facts={**_explained(wrong), "report": str(path)},
        hints=_hints(counts, context.settings.name),
        body="\n".join(each.difference for each in found if each.difference),
        data=data,
        exit_code=exits.GENERAL if wrong else exits.OK,
    )


def _row(each: Entry, last: LastMigration | None) -> dict[str, Any]:
    state: str = each.state
    if state == "pending" and last is not None and last.result != "done":
        state = last.result  # the database took it back; only our own history knows of the attempt
    at, run = each.at, each.run
    if (
        state == "applied" and not at and last is not None and last.finished
    ):  # Alembic keeps neither
        at, run = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(last.finished)), last.run_id
    return {
        "version": each.id,
        "name": each.title,
        "state": state,
        "applied_at": at,
        "run": run,
        "breaks_old": bool(each.migration and each.migration.breaks_old),
        "transactional": each.migration is None or each.migration.transactional,
        "difference": each.difference,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("version", "name", "state", "applied", "run", "remarks")
    cells = [
        (row["version"], row["name"], row["state"], row["applied_at"], row["run"], _remarks(row))
        for row in rows
    ]
    return Table(columns, cells)


def _remarks(row: Mapping[str, Any]) -> str:
    if row["state"] == "applied":
        return ""
    remarks = [
        "breaks the release before it" if row["breaks_old"] else "",
        "" if row["transactional"] else "cannot be undone",
    ]
    return ", ".join(filter(None, remarks))


def _summary(counts: Mapping[str, int], place: str) -> str:
    numbers = ", ".join(f"{number} {state}" for state, number in counts.items())
    return f"{place}: {numbers or 'no migrations'}"


def _explained(wrong: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    states = dict.fromkeys(each["state"] for each in wrong)
    return {state: _MEANING[state] for state in states if state in _MEANING}


def _hints(counts: Counter[str], environment: str) -> list[str]:
    if counts["changed"] or counts["missing"]:
        return ["git log -- the file, restore it, and write a new migration"]
    waiting = counts["pending"] + counts["running"] + counts["failed"]
    return [f"inv db.migrate --env {environment} --dry-run"] if waiting else []
