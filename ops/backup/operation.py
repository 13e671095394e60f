"""`inv backup`: the plan, its step, and what a person reads of the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ops.backup import catalog, engines, keys, make, measures, storage
from ops.backup.manifest import Manifest
from ops.database import target
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Taken:
    """A backup as the journal records it.

    Args:
        id: Of the backup.
        archive: Place of its archive.
        size: Bytes of the archive.
        plain_size: Bytes of the dump inside.
        seconds: How long it took.
        tables: How many tables it has.
        rows: How many rows they have.
        encrypted: Whether it is.
        tool: What made the dump.
        doubts: Why it may hold less than it should.
    """

    id: str
    archive: str
    size: int
    plain_size: int
    seconds: float
    tables: int
    rows: int
    encrypted: bool
    tool: str
    doubts: list[str]


def plan(context: Context, db_type: str) -> Plan:
    """Plan a backup; whatever makes it impossible is found here, before anything changes.

    Args:
        context: Surroundings.
        db_type: `postgres` or `mysql`, which must be that of ops.toml; empty for what it is.

    Raises:
        ConfigurationError: Another kind of database, a wrong recipient, no such folder or bucket.
        ConnectionFailed: The database or the store does not answer.
        NotPermitted: The destination cannot be written.
        DependencyError: The vendor's tool is missing or too old.
    """
    settings = context.settings
    engine = target.described(context).engine
    if db_type not in ("", engine):
        raise ConfigurationError(
            f"the database of {settings.app.name} is {engine}, not {db_type[:40]!r}",
            hint=f"leave --db-type out, or: inv backup --db-type {engine}",
        )
    recipients = settings.backup.recipients
    keys.recipients(recipients)
    url = target.owner_url(context)
    store = storage.of(context)
    store.check()
    summary = {
        "destination": store.where,
        "encrypted for": ", ".join(map(keys.short, recipients)) or "nobody: not encrypted",
    }
    steps = [take.step(id="backup")]
    if target.is_external(context) or target.server_of(context).running():
        dumper = engines.dumper(engine)
        summary["tool"] = dumper.tool(context, url).title
        size = dumper.size(context, url)
        summary["dump"] = (
            f"about {measures.size(size)} before compression" if size else "of unknown size"
        )
    else:
        steps.insert(0, target.server.step(name=target.name(context)))
    seen = {"destination": store.where, "recipients": list(recipients)}
    return Plan(
        "backup", settings.name, f"{engine} of {settings.app.name}", tuple(steps), seen, summary
    )


def _made(context: Context) -> Done | None:
    found = make.made(context)
    return Done("this run has made it already", _taken(context, found, [])) if found else None


def _discard(context: Context, result: object) -> None:
    make.discard(context)


@step(
    title="Back up the database",
    limit=minutes(12 * 60),
    check=_made,
    undo=_discard,
    interruptible=True,
)
def take(context: Context) -> Taken:
    """Dump, compress, encrypt and hash the database into the destination, in one pass."""
    made = make.take(context, target.owner_url(context), purpose="task")
    doubts = make.doubts(made, catalog.backups(context))
    for doubt in doubts:
        context.note(f"warning: {doubt}")
    return _taken(context, made, doubts)


def announce(report: Report, environment: str) -> Report:
    """Add to the report of a finished run what was made."""
    taken = (report.data.get("results") or {}).get("backup")
    if report.exit_code or not taken:
        return report
    speed = measures.rate(taken["plain_size"], taken["seconds"])
    facts = {
        "backup": taken["id"],
        "archive": taken["archive"],
        "size": f"{measures.size(taken['size'])} of {measures.size(taken['plain_size'])}, {speed}",
        "content": f"{measures.counted(taken['tables'], 'table')}, {measures.counted(taken['rows'], 'row')}",
        "encrypted": "yes" if taken["encrypted"] else "no: backup.recipients names no key",
    }
    warnings = {"warning": "; ".join(taken["doubts"])} if taken["doubts"] else {}
    verify = f"inv backup.verify --id {taken['id']} --env {environment}"
    return replace(
        report,
        facts={**facts, **warnings, **report.facts},
        hints=(f"prove it: {verify}",),
        data={**report.data, "backup": taken},
    )


def _taken(context: Context, made: Manifest, doubts: list[str]) -> Taken:
    where = storage.of(context).where
    return Taken(
        id=made.id,
        archive=f"{where}/{made.archive}",
        size=made.size,
        plain_size=made.plain_size,
        seconds=made.seconds,
        tables=len(made.inventory.tables),
        rows=make.rows(made),
        encrypted=bool(made.recipients),
        tool=made.tool,
        doubts=doubts,
    )
