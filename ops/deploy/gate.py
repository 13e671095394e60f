"""The database in a deploy: the embedded server, the backup before migrations, the migrations themselves."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from ops.database import migrations, mysql_url, target
from ops.deploy import build, releases, targets
from ops.hosts import account
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import OpsError, StepFailed, Unsettled
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
        commit=known.commit,
    )


def pending(context: Context, release: str) -> list[migrations.Migration]:
    """Return the migrations of a release that its database lacks, in order."""
    if context.settings.database is None:
        return []
    return migrations.pending(context, _source(context, release), target.owner_url(context))


def is_applied(context: Context, release: releases.Release) -> bool:
    """Say whether a migration that came with a release is in the database; without an answer it counts as such."""
    try:
        waiting = {each.id for each in pending(context, release.id)}
    except OpsError:
        return True
    return not waiting.issuperset(release.migrations)


def _migrated(context: Context, release: str) -> Done | None:
    if pending(context, release):
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
    url = target.owner_url(context)
    source = _source(context, release)
    before = migrations.pending(context, source, url)
    for each in before:
        context.note(f"{each.id} {each.title}")
    known = releases.load(context.settings, release)
    ids, breaks = [each.id for each in before], any(each.breaks_old for each in before)
    targets.note_migrations(context, release, ids, breaks)
    releases.save(context.settings, replace(known, migrations=ids, breaks_older=breaks))
    try:
        migrations.apply(context, source, url)
    except OpsError as error:
        # MySQL commits at every change of a schema: what ran before the failure stays.
        stays = isinstance(error, StepFailed) and mysql_url.is_mysql(url)
        if stays or migrations.pending(context, source, url) != before:
            raise Unsettled("a migration failed and left a part behind", why=str(error)) from error
        raise
    return Applied(ids, not breaks)
