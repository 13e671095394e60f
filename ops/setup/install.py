"""The steps of `inv setup`: dependencies of the working tree and the migrations of its database."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ops.database import migrations
from ops.deploy import build
from ops.hosts import home, runner, tools
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.steps import Done, step
from ops.setup import variables, workspace


@dataclass(frozen=True)
class Applied:
    """What the migrations did; there is no release before that could stop working.

    Args:
        applied: Ids, in order.
        compatible: Always.
    """

    applied: list[str]
    compatible: bool = True


def _python_ready(context: Context, requirements: str, environment: str) -> Done | None:
    return Done(f"reused {environment}") if workspace.python_ready(context.settings) else None


@step(
    title="Install Python dependencies of {requirements}",
    limit=minutes(10),
    check=_python_ready,
    interruptible=True,
)
def python(context: Context, requirements: str, environment: str) -> None:
    """Make the virtual environment of the lock file; a release with the same lock file uses it too."""
    settings = context.settings
    folder = home.of(settings).venvs / environment
    build.make_environment(context, folder, settings.app_folder / requirements)


def _node_ready(context: Context, directory: str, lock: str) -> Done | None:
    return (
        Done("same lock file")
        if workspace.node_ready(context.settings.app_folder / directory)
        else None
    )


@step(
    title="Install Node dependencies of {directory}",
    limit=minutes(10),
    check=_node_ready,
    interruptible=True,
)
def node(context: Context, directory: str, lock: str) -> None:
    """Fill node_modules from package-lock.json; the stamp is written last.

    Raises:
        DependencyError: npm is missing.
    """
    settings = context.settings
    folder = settings.app_folder / directory
    npm = tools.find(home.of(settings), "npm")
    if npm is None:
        raise DependencyError("npm is missing", hint="inv setup.check")
    environment = {**runner.network_environment(), "PATH": workspace.search_path(settings)}
    digest = workspace.lock_digest(folder)
    runner.run(
        context, [str(npm), "ci", "--no-audit", "--no-fund"], cwd=folder, environment=environment
    )
    files.make_folder(folder / "node_modules", mode=0o755)
    files.write(folder / "node_modules" / workspace.STAMP, digest, mode=0o644)


def _source(context: Context) -> migrations.Source:
    settings = context.settings
    if settings.migrations is None or settings.database is None:
        raise ConfigurationError("ops.toml has no [migrations]", hint="inv config.check")
    folder = workspace.python_folder(settings)
    return migrations.Source(
        kind=settings.migrations.kind,
        path=settings.app_folder / settings.migrations.path,
        python=folder / "bin" / "python" if folder else Path(sys.executable),
        environment={
            **workspace.base_variables(settings),
            **settings.environment.environment,
            **variables.of_application(context, None),
        },
        variable=settings.database.variable,
        account=None,  # the working tree belongs to who runs this
    )


def pending(context: Context) -> list[migrations.Migration]:
    """Return the migrations of the working tree that its database lacks, in order."""
    return migrations.pending(context, _source(context), variables.required_url(context))


def _migrated(context: Context) -> Done | None:
    return None if pending(context) else Done("no migration is pending", Applied([]))


@step(title="Apply migrations", limit=minutes(5), check=_migrated, irreversible=True)
def migrate(context: Context) -> Applied:
    """Bring the development database to the working tree's schema.

    Raises:
        StepFailed: A migration failed.
    """
    waiting = pending(context)
    for each in waiting:
        context.note(f"{each.id} {each.title}")
    migrations.apply(context, _source(context), variables.required_url(context))
    return Applied([each.id for each in waiting])
