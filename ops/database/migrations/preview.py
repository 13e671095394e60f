"""What a dry run shows of pending migrations: their SQL, what the lint says, and which locks they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from pydantic import SecretStr

from ops.database import lint, sql
from ops.database.lint import Finding, LockedTable
from ops.database.migrations.model import Entry, Migration, Source
from ops.database.migrations.scripts import scripts
from ops.kernel.context import Context
from ops.kernel.errors import OpsError
from ops.kernel.report import Report

UNDECLARED: Final = "undeclared-break"
_MAJOR: Final = 10_000


def add(
    report: Report,
    context: Context,
    source: Source,
    url: SecretStr,
    found: Sequence[Entry],
    pending: Sequence[Migration],
) -> Report:
    """Add the SQL of each migration to the report of a dry run, with its findings and its lock trace.

    Args:
        report: Of the dry run.
        context: Surroundings.
        source: The migrations.
        url: The database.
        found: Every migration.
        pending: Those that would be applied.
    """
    before = [each.migration for each in found if each.migration and each.state == "applied"]
    texts, why = scripts(context, source, url, pending)
    earlier, _ = scripts(context, source, url, before)
    major = _major(url)
    notes = [why] if why else []
    findings: list[Finding] = []
    locks: list[LockedTable] = []
    try:
        findings += lint.findings(context, texts, server_major=major, applied=earlier)
    except OpsError as error:
        notes.append(f"no lint: {error}")
    try:
        traced = lint.trace(context, earlier, texts, server_major=major)
        findings, locks = lint.agreed(texts, findings, traced), traced.locks
    except OpsError as error:
        notes.append(f"no lock trace: {error}")
    by_file = {each.path: each.text for each in texts}
    parts = [
        {
            "version": each.id,
            "name": each.title,
            "file": each.file,
            "transactional": each.transactional,
            "breaks_old": each.breaks_old,
            "sql": by_file.get(each.file, ""),
            "findings": [asdict(one) for one in findings if one.file == each.file],
            "locks": [asdict(one) for one in locks if one.file == each.file],
        }
        for each in pending
    ]
    body = "\n".join([*(_shown(each) for each in parts), *notes])
    return replace(report, body=body, data={**report.data, "migrations": parts, "notes": notes})


def contradictions(
    context: Context, source: Source, url: SecretStr, chosen: Sequence[Migration]
) -> list[str]:
    """Return where migrations drop or rename what the release before may use and do not declare that."""
    texts, _ = scripts(context, source, url, chosen)
    try:
        found = lint.findings(context, texts, server_major=0)
    except OpsError:  # the lint itself says what it lacks: inv db.lint
        return []
    return [f"{each.file}:{each.line} {each.message}" for each in found if each.rule == UNDECLARED]


def _major(url: SecretStr) -> int:
    with sql.connect(url, read_only=True) as connection:
        return connection.info.server_version // _MAJOR


def _shown(each: dict[str, Any]) -> str:
    how = "in a transaction" if each["transactional"] else "cannot be undone"
    lines = [f"-- {each['file']}, {how}", each["sql"].rstrip() or "-- (no SQL)"]
    for one in each["findings"]:
        lines.append(f"   {one['severity']} line {one['line']}: {one['message']} [{one['rule']}]")
        lines += [f"      {one['hint']}"] if one["hint"] else []
    lines += [f"   lock line {one['line']}: {_lock(one)}" for one in each["locks"]]
    return "\n".join([*lines, ""])


def _lock(one: dict[str, Any]) -> str:
    more = [
        f"rewrites {', '.join(one['rewrites'])}" if one["rewrites"] else "",
        "reads all of it" if one["scanned"] else "",
        f"{one['rows']} row{'s' if one['rows'] > 1 else ''}" if one["rows"] else "",
    ]
    what = f"{one['mode'] or 'no further lock'} on {one['table']}"
    return ", ".join([what, *filter(None, more)])
