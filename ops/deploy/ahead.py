"""Migrations that cannot be taken back, named before a deploy begins: its release is still only a commit of git."""

from __future__ import annotations

from pathlib import PurePosixPath

from ops.deploy import git
from ops.kernel.context import Context


def added(context: Context, revision: git.Revision, before: str) -> dict[str, str]:
    """Return the migration files that a revision adds to the release that serves, with their text.

    Args:
        context: Surroundings.
        revision: What is deployed.
        before: Commit of the release that serves, empty for none or when it is not known.
    """
    settings = context.settings
    if settings.migrations is None:
        return {}
    alembic = settings.migrations.kind == "alembic"
    folder = settings.migrations.path.parent if alembic else settings.migrations.path
    found = git.added(context, revision, before, str(folder), ".py" if alembic else ".sql")
    # Other files may lie beside the revisions of Alembic.
    return {path: text for path, text in found.items() if not alembic or "down_revision" in text}


def irreversible(context: Context, revision: git.Revision, before: str | None) -> list[str]:
    """Return the migrations that a revision adds to the release that serves and that no transaction takes back.

    Args:
        context: Surroundings.
        revision: What is deployed.
        before: As for `added`; None when nothing serves: then there are no data to lose.
    """
    settings = context.settings
    if settings.migrations is None or before is None:
        return []
    from ops.database.migrations import files  # takes long to load, and most have none

    alembic = settings.migrations.kind == "alembic"
    found = added(context, revision, before)
    if settings.database is not None and settings.database.engine == "mysql":
        # It commits at every change of a schema.
        return [PurePosixPath(path).name for path in found]
    return [
        PurePosixPath(path).name
        for path, text in found.items()
        if ("autocommit_block" in text if alembic else not files.is_transactional(text))
    ]
