"""`inv backup.restore`: a backup into a new database, or in the place of the environment's."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import replace as changed

from ops.backup import archive, beside, catalog, engines, keys, measures, storage
from ops.backup.engines import Server
from ops.backup.manifest import Manifest
from ops.database import target
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report


def plan(context: Context, id: str, into: str, replace: bool) -> Plan:
    """Plan a restore.

    Args:
        context: Surroundings.
        id: Which backup; never chosen for the caller.
        into: Name of the new database; default: `<database>_restored_<end of the id>`.
        replace: Put it in the place of the environment's database, which is kept under another name.

    Raises:
        ConfigurationError: Unknown backup, a wrong key, or a name that cannot be.
        NotPermitted: The role may not create databases.
    """
    if not id:
        raise ConfigurationError("--id is missing: which backup?", hint="inv backup.list")
    if into and replace:
        raise ConfigurationError("--into and --replace exclude each other", hint="leave one out")
    manifest = catalog.find(context, id)
    if manifest.engine != target.described(context).engine:
        raise ConfigurationError(f"backup {manifest.id} is of {manifest.engine}")
    server = engines.restorer(manifest.engine).server(context)
    there = server.marks()
    server.check(manifest)
    _refuse_closed(context, manifest)
    half = beside.left_overs(server.database, there)
    work = beside.name(server.database, "restoring", manifest.id)
    facts = {
        "backup": _described(manifest),
        "proof": _proof(manifest),
        "database": f"{server.database} on {server.where}",
        **({"removed first": f"left over by killed runs: {', '.join(half)}"} if half else {}),
    }
    seen = {"sha256": manifest.sha256, "half": half}
    bring = beside.bring.step(backup=manifest.id, work=work)
    if not replace:
        new = _new(server, set(there), into, manifest)
        return Plan(
            "backup restore",
            context.settings.name,
            f"backup {manifest.id} into new database {new}",
            (bring, beside.settle.step(backup=manifest.id, work=work, name=new)),
            seen,
            facts,
        )
    if server.database not in there:
        raise ConfigurationError(
            f"there is no database {server.database} to replace", hint="inv db.init makes it"
        )
    old = beside.free(server.database, "before", manifest.id, set(there))
    safety = beside.safety.step(backup=manifest.id, when="the database has a table")
    facts |= {
        "kept": f"the database as it is, as {old}",
        "connections": server.cut,
    }
    return Plan(
        "backup restore",
        context.settings.name,
        f"backup {manifest.id} in the place of database {server.database}",
        (safety, bring, beside.swap.step(backup=manifest.id, work=work, old=old)),
        seen,
        facts,
        destructive=True,
    )


def told(report: Report, environment: str) -> Report:
    """Add to the report of a finished run where the data are and what can be done next."""
    results = report.data.get("results") or {}
    if made := results.get("settle"):
        name, url, id = made["database"], made["url"], made["id"]
        return changed(
            report,
            facts={"database": name, "url": url, **report.facts},
            hints=(
                *((f"psql '{url}'",) if url.startswith("postgresql:") else ()),
                f"in the place of the environment's: inv backup.restore --id {id} --replace --env {environment}",
                f"drop it: {made['drop']}",
            ),
            data={**report.data, "database": name, "url": url},
        )
    if made := results.get("swap"):
        safe = (results.get("safety") or {}).get("id", "")
        back = f"inv backup.restore --id {safe} --replace --env {environment}"
        return changed(
            report,
            facts={"database": made["database"], "before": made["old"], **report.facts},
            hints=(
                *((f"go back to the safety backup: {back}",) if safe else ()),
                f"go back to the database before: {made['back']}",
                f"drop the database before: {made['drop']}",
            ),
            data={
                **report.data,
                "database": made["database"],
                "before": made["old"],
                "safety": safe,
            },
        )
    return report


class _Enough(Exception):
    """The archive opens."""


class _Peek:
    def write(self, data: bytes) -> int:
        raise _Enough

    def flush(self) -> None:
        """Do nothing."""


def _refuse_closed(context: Context, manifest: Manifest) -> None:
    """Find out before the first change that the archive does not open: no key, a wrong one, unreadable.

    Raises:
        ConfigurationError: There is no key, or another one.
        OpsError: The store does not give it.
    """
    try:
        identity = keys.identity(context)
        archive.copy(context, manifest, storage.of(context), _Peek(), identity)
    except _Enough:
        return


def _new(server: Server, there: Set[str], into: str, manifest: Manifest) -> str:
    if not into:
        return beside.free(server.database, "restored", manifest.id, there)
    if into == server.database:
        raise ConfigurationError(
            f"--into {into}: that is the database of the environment",
            hint=f"inv backup.restore --id {manifest.id} --replace",
        )
    odd = len(into.encode()) > beside.LONGEST or not into.isprintable()
    if odd or re.search(beside.WORKING, into):
        raise ConfigurationError(
            f"--into {into[:80]!r} cannot be the name of a database", hint="choose another one"
        )
    if into in there:
        raise ConfigurationError(
            f"--into {into}: a database of that name exists", hint="choose another name"
        )
    return into


def _described(manifest: Manifest) -> str:
    tables = manifest.inventory.tables
    rows = sum(each.rows for each in tables)
    size = measures.size(manifest.size)
    return f"{manifest.id}, {size}, {measures.counted(len(tables), 'table')}, {measures.counted(rows, 'row')}"


def _proof(manifest: Manifest) -> str:
    last = manifest.proof
    return f"{last.verdict} at level {last.level}, {last.at}" if last else "never verified"
