"""`inv db.lint`: the working tree's migrations, looked at before they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import SecretStr

from ops.database import lint, sql
from ops.database.lint import Finding, LockedTable, Script, Trace
from ops.database.migrations import alembic, files, running
from ops.database.migrations.model import Migration, Source
from ops.database.migrations.scripts import scripts
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, ConnectionFailed, DependencyError, OpsError
from ops.kernel.report import Report, Table
from ops.setup import migrate

_MAJOR = 10_000
_NOWHERE = SecretStr("postgresql://")  # Alembic's offline mode wants one and does not ask it


@dataclass(frozen=True)
class _Found:
    """What there is to look at.

    Args:
        applied: Migrations that the database has.
        chosen: Those to look at.
        url: The database.
        major: Version of its server, 0 when it does not answer.
        why: Why it was not asked.
    """

    applied: list[Migration]
    chosen: list[Migration]
    url: SecretStr
    major: int
    why: str = ""


def report(context: Context, *, every: bool, strict: bool) -> Report:
    """Look at the pending migrations, at all without a database.

    Args:
        context: Surroundings.
        every: Look at applied ones as well.
        strict: Warnings fail too.

    Raises:
        ConfigurationError: There are no migrations.
        DependencyError: squawk is missing, or the application's Python environment.
        OpsError: A file is not UTF-8.
    """
    source = migrate.working_tree(context)
    _refuse_other_encodings(source)
    found = _look(context, source, every)
    texts, unknown = scripts(context, source, found.url, found.chosen)
    earlier, _ = scripts(context, source, found.url, found.applied)
    silent = _without_sql(found.chosen, texts, unknown)
    texts, earlier = _placed(context, source, texts), _placed(context, source, earlier)
    stay, silenced = lint.inspect(context, texts, server_major=found.major, applied=earlier)
    facts = {"not asked": f"{found.why}; these are all migrations"} if found.why else {}
    try:
        trace = lint.trace(context, earlier, texts, server_major=found.major)
    except DependencyError as error:
        trace = Trace([], [], frozenset())
        facts["no lock trace"] = f"{error}; {error.hint}"
    stay = [*silent, *lint.agreed(texts, stay, trace)]
    return _report(texts, stay, silenced, trace, facts, strict)


def _look(context: Context, source: Source, every: bool) -> _Found:
    try:
        url = migrate.url(context)
        with sql.connect(url, read_only=True) as connection:
            major = connection.info.server_version // _MAJOR
    except (ConfigurationError, ConnectionFailed) as error:
        return _Found([], _files(context, source), _NOWHERE, 0, str(error).splitlines()[0])
    entries = running.entries(context, source, url)
    known = [each.migration for each in entries if each.migration is not None]
    chosen = known if every else running.waiting(entries)
    names = {each.id for each in chosen}
    return _Found([each for each in known if each.id not in names], chosen, url, major)


def _files(context: Context, source: Source) -> list[Migration]:
    if source.kind == "alembic":
        return alembic.revisions(context, source)
    return [each.migration for each in files.read(source)]


def _refuse_other_encodings(source: Source) -> None:
    for path in sorted(source.path.glob("*.sql")) if source.kind == "sql" else ():
        content = path.read_bytes()
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise OpsError(
                f"{path.name}:{line} is not UTF-8",
                why=f"byte {content[error.start]:#04x}",
                hint=f"iconv -f latin1 -t utf-8 -o {path} {path}, if it is Latin-1",
            ) from error


def _without_sql(chosen: Sequence[Migration], texts: Sequence[Script], why: str) -> list[Finding]:
    """Return the revisions that Alembic can only run on a database: nobody has looked at them."""
    known = {each.path for each in texts}
    hint = "let it run without a connection: context.is_offline_mode()"
    return [
        Finding(each.file, 1, "no-sql", "warning", f"cannot be looked at: {why}", hint)
        for each in chosen
        if each.file not in known and why
    ]


def _placed(context: Context, source: Source, found: Sequence[Script]) -> list[Script]:
    """Show SQL files as a person opens them; Alembic's SQL has lines of its own."""
    folder = source.path.relative_to(context.settings.folder)
    names = {
        each.path: f"{folder / each.path}" if source.kind == "sql" else f"SQL of {each.path}"
        for each in found
    }
    return [replace(each, path=names[each.path]) for each in found]


def _report(
    texts: Sequence[Script],
    found: Sequence[Finding],
    silenced: Sequence[Finding],
    trace: Trace,
    facts: dict[str, str],
    strict: bool,
) -> Report:
    errors = sum(each.severity == "error" for each in found)
    warnings = len(found) - errors
    bad = bool(errors or (strict and warnings))
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    allowed = f", {len(silenced)} allowed by a comment" if silenced else ""
    return Report(
        f"{_count(len(texts), 'migration')}: {counts}{allowed}",
        status="difference" if bad else "ok",
        tables=_tables(found, trace.locks),
        facts=facts,
        hints=("inv db.lint --all",) if not texts else (),
        data={
            "migrations": [each.path for each in texts],
            "findings": [asdict(each) for each in found],
            "allowed": [asdict(each) for each in silenced],
            "locks": [asdict(each) for each in trace.locks],
            "notes": facts,
        },
        exit_code=exits.GENERAL if bad else exits.OK,
    )


def _tables(found: Sequence[Finding], locks: Sequence[LockedTable]) -> list[Table]:
    rows = [
        (f"{each.file}:{each.line}", each.severity, each.rule, each.message, each.hint)
        for each in found
    ]
    seen = [
        (
            f"{each.file}:{each.line}",
            each.table,
            each.mode or "(held already)",
            ", ".join(each.rewrites),
            "yes" if each.scanned else "",
        )
        for each in locks
    ]
    tables = [Table(("where", "level", "rule", "what happens", "the safe way"), rows)]
    columns = ("where", "table", "lock", "writes anew", "reads it whole")
    tables.append(Table(columns, seen, title="Locks of tables that are there"))
    return [each for each in tables if each.rows]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
