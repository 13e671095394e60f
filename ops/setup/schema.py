"""`inv db.schema`: the working tree's models and migrations against an environment's database."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.database import target
from ops.database.migrations.model import Source
from ops.database.schema import check, show
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.report import Report
from ops.setup import migrate, variables, workspace


def compare(context: Context) -> Report:
    """Compare models, migrations and the live database; changes nothing.

    Raises:
        ConfigurationError: There is no [database], or nothing to compare it with.
        DependencyError: The application's Python environment is missing, or PostgreSQL of the live version.
    """
    settings = context.settings
    described = target.described(context)
    if described.models and not workspace.python_ready(settings):
        raise DependencyError(
            "the Python environment of the lock file is missing",
            why="the models are imported in it",
            hint=f"inv setup --env {workspace.DEVELOPMENT}",
        )
    if settings.migrations is None and not described.models:
        raise ConfigurationError(
            "there is nothing to compare the live database with",
            why="ops.toml has neither [migrations] nor models in [database]",
            hint='add [migrations], or models = "package.module:Base.metadata" to [database]',
        )
    source = migrate.working_tree(context) if settings.migrations else _interpreter(context)
    answer = check.check(context, source, migrate.url(context), _folders(context, source))
    return show.report(answer, settings.name)


def _interpreter(context: Context) -> Source:
    """Return who can import the models, where nothing migrates."""
    settings = context.settings
    folder = workspace.python_folder(settings)
    development = settings.name == workspace.DEVELOPMENT
    return Source(
        kind="",
        path=settings.app_folder,
        python=folder / "bin" / "python" if folder else Path(sys.executable),
        environment={
            **workspace.base_variables(settings),
            **settings.environment.environment,
            **(variables.of_application(context, None) if development else {}),
        },
        variable=target.described(context).variable,
        account=None,
    )


def _folders(context: Context, source: Source) -> list[Path]:
    """Return where the application's modules are: Alembic's folder, those of the services, the application's."""
    settings = context.settings
    services = [settings.app_folder / each.directory for each in settings.services.values()]
    first = [source.path.parent] if source.kind == "alembic" else []
    return list(dict.fromkeys([*first, *services, settings.app_folder]))
