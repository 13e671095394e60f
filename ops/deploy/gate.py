"""The database in a deploy: the embedded server, the backup before migrations, the migrations themselves."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from ops.backup import dump
from ops.database import migrations, sql, target
from ops.deploy import build, releases
from ops.hosts import account, home
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import OpsError, Unsettled
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Applied:
    """What the migrations of a release did.

    Args:
        applied: Ids, in order.
        compatible: Whether the release before still works with them.
    """

    applied: list[str]
    compatible: bool


def _source(context: Context, release: str) -> migrations.Source:
    settings = context.settings
    assert settings.migrations is not None and settings.database is not None
    known = releases.load(settings, release)
    environment = build.environment_folder(context, known)
    return migrations.Source(
        kind=settings.migrations.kind,
        path=releases.folder(settings, release) / "app" / settings.migrations.path,
        python=environment / "bin" / "python" if environment else Path(sys.executable),
        environment=build.command_environment(context, known),
        variable=settings.database.variable,
        account=account.lookup(),
    )


def _pending(context: Context, release: str) -> list[migrations.Migration]:
    url = target.url(context)
    return migrations.pending(context, _source(context, release), url) if url else []


def is_applied(context: Context, release: releases.Release) -> bool:
    """Say whether a migration that came with a release is in the database; without an answer it counts as such."""
    try:
        waiting = {each.id for each in _pending(context, release.id)}
    except OpsError:
        return True
    return not waiting.issuperset(release.migrations)


def _nothing_to_back_up(context: Context, release: str) -> Done | None:
    return None if _pending(context, release) else Done("no migration is pending")


@step(title="Back up the database", limit=minutes(30), check=_nothing_to_back_up)
def backup(context: Context, release: str) -> dump.Backup:
    """Dump the database before migrations; a failure stops the deploy here."""
    settings = context.settings
    url = target.url(context)
    assert url is not None
    folder = home.of(settings).environment(settings.name) / "backups"
    for left in folder.glob("*.partial"):  # of a killed deploy: under the lock nobody writes it now
        files.remove(left)
    made = dump.dump(context, target.server_of(context).tool("pg_dump"), url, folder, release)
    context.note(f"{made.path}, {made.size / 1e6:.1f} MB")
    return made


def _migrated(context: Context, release: str) -> Done | None:
    if _pending(context, release):
        return None
    known = releases.load(context.settings, release)
    # After a crash between the effect and its record: the release says what was about to be applied.
    return Done("no migration is pending", Applied(known.migrations, not known.breaks_older))


@step(title="Apply migrations", limit=minutes(5), check=_migrated, irreversible=True)
def migrate(context: Context, release: str) -> Applied:
    """Migrate from the new release while the old one serves.

    Raises:
        StepFailed: It failed and the database is as it was.
        Unsettled: It failed halfway; the backup is the way back.
    """
    url = target.url(context)
    assert url is not None
    source = _source(context, release)
    before = migrations.pending(context, source, url)
    for each in before:
        context.note(f"{each.id} {each.title}")
    known = releases.load(context.settings, release)
    ids, breaks = [each.id for each in before], any(each.breaks_old for each in before)
    releases.save(context.settings, replace(known, migrations=ids, breaks_older=breaks))
    began = time.monotonic()
    try:
        migrations.apply(context, source, url)
    except OpsError as error:
        _record(context, url, before, "failed", time.monotonic() - began)
        if migrations.pending(context, source, url) != before:
            raise Unsettled("a migration failed and left a part behind", why=str(error)) from error
        raise
    _record(context, url, before, "done", time.monotonic() - began)
    return Applied(ids, not breaks)


def _record(
    context: Context,
    url: SecretStr,
    applied: list[migrations.Migration],
    result: str,
    seconds: float,
) -> None:
    """Write the migrations into the table `migration_history`; they were one transaction, so they share its time."""
    if context.history is None:
        return
    for each in applied:
        context.history.migration(
            run_id=context.run_id,
            environment=context.settings.name,
            target=sql.describe(url),
            actor=context.actor,
            version=each.id,
            name=each.title,
            checksum=each.checksum,
            result=result,
            seconds=seconds,
        )
