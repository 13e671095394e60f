"""Migrations that cannot be taken back, named before a deploy begins: its release is still only a commit of git."""

from __future__ import annotations

from pathlib import PurePosixPath

from ops.database.migrations import files
from ops.deploy import git, releases
from ops.kernel.context import Context


def added(context: Context, revision: git.Revision, previous: str) -> dict[str, str]:
    """Return the migration files that a revision adds to the release that serves, with their text.

    Args:
        context: Surroundings.
        revision: What is deployed.
        previous: Release that serves, empty for none.
    """
    settings = context.settings
    if settings.migrations is None:
        return {}
    known = releases.known(settings, previous) if previous else None
    alembic = settings.migrations.kind == "alembic"
    folder = settings.migrations.path.parent if alembic else settings.migrations.path
    before = known.commit if known else ""
    found = git.added(context, revision, before, str(folder), ".py" if alembic else ".sql")
    # Other files may lie beside the revisions of Alembic.
    return {path: text for path, text in found.items() if not alembic or "down_revision" in text}


def irreversible(context: Context, revision: git.Revision, previous: str) -> list[str]:
    """Return the migrations that a revision adds to the release that serves and that no transaction takes back.

    Args:
        context: Surroundings.
        revision: What is deployed.
        previous: Release that serves, empty for none: then there are no data to lose.
    """
    settings = context.settings
    if settings.migrations is None or not previous:
        return []
    alembic = settings.migrations.kind == "alembic"
    found = added(context, revision, previous)
    if settings.database is not None and settings.database.engine == "mysql":
        # It commits at every change of a schema.
        return [PurePosixPath(path).name for path in found]
    return [
        PurePosixPath(path).name
        for path, text in found.items()
        if ("autocommit_block" in text if alembic else not files.is_transactional(text))
    ]
