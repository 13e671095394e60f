"""`inv db.status` and `inv db.migrate`: the working tree's migrations against an environment's database.

The files are those of the working tree. Alembic runs with the Python environment of the working tree's lock file, which
development shares with every release of the same lock file. A deploy takes files and environment of its release.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ops.database import migrations, sql, target
from ops.database.migrations import files, obstacles, preview, running, sqlfiles, status
from ops.database.migrations.model import Entry, Migration, Source, words
from ops.hosts import runner
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import Busy, ConfigurationError, DependencyError
from ops.kernel.history import History
from ops.kernel.plan import Plan, Step
from ops.kernel.report import Report
from ops.kernel.steps import Done, step
from ops.kernel.store import State
from ops.setup import variables, workspace

_NAMED: Final = 4
"""How many migrations a step's title names."""


@dataclass(frozen=True)
class Applied:
    """What the migrations did; nothing is undone around them, so nothing has to work with them.

    Args:
        applied: Ids, in order.
        compatible: Always.
    """

    applied: list[str]
    compatible: bool = True


def working_tree(context: Context) -> Source:
    """Return the migrations of the working tree, with the commit that it is at.

    Raises:
        ConfigurationError: ops.toml has no [migrations], or its tool does not fit the database.
        DependencyError: The Python environment of the lock file is missing.
    """
    settings = context.settings
    if settings.migrations is None or settings.database is None:
        raise ConfigurationError("ops.toml has no [migrations]", hint="inv config.check")
    if settings.database.engine != "postgres":
        raise ConfigurationError(
            f"migrations of {settings.database.engine} are not run here",
            why="their lock and their history need PostgreSQL",
            hint="run them as a hook: [hooks] before_migrate",
        )
    folder = workspace.python_folder(settings)
    if settings.migrations.kind == "alembic" and not workspace.python_ready(settings):
        raise DependencyError(
            "the Python environment of the lock file is missing",
            why="Alembic runs in it",
            hint=f"inv setup --env {workspace.DEVELOPMENT}",
        )
    development = settings.name == workspace.DEVELOPMENT
    return Source(
        kind=settings.migrations.kind,
        path=settings.app_folder / settings.migrations.path,
        python=folder / "bin" / "python" if folder else Path(sys.executable),
        environment={
            **workspace.base_variables(settings),
            **settings.environment.environment,
            **(variables.of_application(context, None) if development else {}),
        },
        variable=settings.database.variable,
        account=None,  # the working tree belongs to who runs this
        commit=_commit(context),
    )


def url(context: Context) -> SecretStr:
    """Return the URL of the environment's database for the owner of its schema.

    Raises:
        ConfigurationError: The application has none, or the embedded server lacks it yet.
    """
    settings = context.settings
    if settings.name == workspace.DEVELOPMENT and not settings.environment.migration_url:
        return variables.required_url(context)
    return target.owner_url(context)


def pending(context: Context) -> list[Migration]:
    """Return the migrations of the working tree that its database lacks, in order."""
    return migrations.pending(context, working_tree(context), url(context))


def plan(context: Context, to: str) -> Plan:
    """Plan what is pending.

    Args:
        context: Surroundings.
        to: Last version to apply; empty for all.

    Raises:
        ConfigurationError: An applied file was changed, there are several heads, or `to` is unknown or passed.
        Busy: A long transaction or a dump is in the way.
    """
    source, place = working_tree(context), url(context)
    found = running.entries(context, source, place)
    running.refuse_unusable(source, found)
    waiting = _up_to(found, to, context.settings.name) if to else running.waiting(found)
    where = sql.describe(place)
    if not waiting:
        why = f"{where} is at {to}" if to else f"{where} has all {len(found)} migrations"
        return Plan("migrate", context.settings.name, where, (), nothing=why)
    if source.kind == "sql":
        sqlfiles.check(source, waiting)
    with sql.connect(place, read_only=True) as connection:
        held = obstacles.in_the_way(connection, words(waiting))
        invalid = obstacles.invalid(connection, words(waiting))
    if held and guard.may_change():
        raise Busy(held[0], why="a migration would queue behind it", hint=held[1])
    summary = {
        "files": f"{source.path}, commit {source.commit[:12] or 'unknown'}",
        **({"in the way": f"{held[0]}; {held[1]}"} if held else {}),
        **{f"index {each.name}": _invalid(each) for each in invalid},
        **_missing(found),
        **{each.file: _does(source, each) for each in waiting},
        **_contradictions(context, source, place, waiting),
    }
    return Plan(
        "migrate",
        context.settings.name,
        where,
        tuple(_step(source, batch) for batch in migrations.batches(source, waiting)),
        {
            "pending": [(each.id, each.checksum, each.statements_done) for each in waiting],
            "invalid": [f"{each.schema}.{each.name}" for each in invalid],
        },
        summary,
        destructive=not all(each.transactional for each in waiting),
    )


def announce(report: Report, context: Context, to: str) -> Report:
    """Add to a dry run the SQL of each migration, its findings and its lock trace."""
    if report.status != "dry-run" or "plan" not in report.data:
        return report
    source, place = working_tree(context), url(context)
    found = running.entries(context, source, place)
    chosen = _up_to(found, to, context.settings.name) if to else running.waiting(found)
    return preview.add(report, context, source, place, found, chosen)


def show(context: Context, state: State | None) -> Report:
    """Return the state of every migration.

    Args:
        context: Surroundings.
        state: Our own history, which knows of runs that failed; None when there is none.
    """
    source, place = working_tree(context), url(context)
    found = running.entries(context, source, place)
    ended = History(state).migrations(context.settings.name, sql.describe(place)) if state else {}
    return status.report(context, place, found, ended)


def _applied(context: Context, versions: list[str], what: str) -> Done | None:
    waiting = {each.id for each in pending(context)}
    return Done("applied already", Applied([])) if waiting.isdisjoint(versions) else None


@step(title="{what}", limit=minutes(5), check=_applied, irreversible=True)
def apply(context: Context, versions: list[str], what: str) -> Applied:
    """Apply migrations that are taken back together, or one that cannot be.

    Raises:
        StepFailed: One failed.
        Busy: Somebody else migrates, or is in the way.
    """
    done = migrations.apply(context, working_tree(context), url(context), versions)
    return Applied([each.id for each in done])


def _migrated(context: Context) -> Done | None:
    return None if pending(context) else Done("no migration is pending", Applied([]))


@step(title="Apply migrations", limit=minutes(5), check=_migrated, irreversible=True)
def migrate(context: Context) -> Applied:
    """Bring the development database to the working tree's schema, as a part of `inv setup`.

    Raises:
        StepFailed: A migration failed.
    """
    for each in pending(context):
        context.note(f"{each.id} {each.title}")
    done = migrations.apply(context, working_tree(context), url(context))
    return Applied([each.id for each in done])


def _step(source: Source, batch: Sequence[Migration]) -> Step:
    names = [each.file for each in batch]
    shown = ", ".join(names[:_NAMED]) + (f" … {names[-1]}" if len(names) > _NAMED else "")
    alone = not all(each.transactional for each in batch)
    how = "; cannot be undone" if alone else " in one transaction" if source.kind == "sql" else ""
    return apply.step(batch[0].id, versions=[each.id for each in batch], what=f"Apply {shown}{how}")


def _up_to(found: Sequence[Entry], to: str, environment: str) -> list[Migration]:
    """Return what is pending up to a version; nothing here goes back."""
    names = [each.id for each in found]
    if to not in names:
        close = difflib.get_close_matches(to, names, 1, 0)
        raise ConfigurationError(
            f"there is no migration {to}",
            why=f"did you mean {close[0]}?" if close else "",
            hint=f"inv db.status --env {environment}",
        )
    waiting = running.waiting(found[: names.index(to) + 1])
    after = [each.id for each in found[names.index(to) + 1 :] if each.state != "pending"]
    if not waiting and after:
        raise ConfigurationError(
            f"the database is past {to}: {', '.join(after[:_NAMED])} came after it",
            why="a migration is never taken back here",
            hint="write a new one that does, or restore a backup: inv backup.list",
        )
    return waiting


def _does(source: Source, each: Migration) -> str:
    begun = f"goes on after {each.statements_done} statements: " if each.statements_done else ""
    what = files.summary(each.text) if source.kind == "sql" else each.title
    breaks = " (breaks the release before it)" if each.breaks_old else ""
    return f"{begun}{what}{breaks}"


def _missing(found: Sequence[Entry]) -> dict[str, str]:
    names = ", ".join(f"{each.id} {each.title}" for each in found if each.state == "missing")
    return {"no file for": f"{names}, which the database has"} if names else {}


def _invalid(each: obstacles.Invalid) -> str:
    return f"of {each.table} is invalid, left by a failed CONCURRENTLY; removed first"


def _contradictions(
    context: Context, source: Source, place: SecretStr, waiting: Sequence[Migration]
) -> Mapping[str, str]:
    if source.kind != "sql":  # its SQL costs a start of Alembic; the dry run shows it
        return {}
    found = preview.contradictions(context, source, place, waiting)
    return {"contradiction": "; ".join(found)} if found else {}


def _commit(context: Context) -> str:
    """Return the commit of the working tree, with `-dirty` when it has changes; empty without git."""
    git = ["git", "-C", str(context.settings.folder)]
    variables = {"GIT_OPTIONAL_LOCKS": "0"}  # a dry run must not even refresh the index
    try:
        head, changed = (
            runner.run(
                context, [*git, *words], reads=True, environment=variables, check=False
            ).stdout.strip()
            for words in (
                ["rev-parse", "--verify", "--quiet", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except DependencyError:
        return ""
    return f"{head}-dirty" if head and changed else head
