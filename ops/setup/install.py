"""The steps of `inv setup`: dependencies of the working tree."""

from __future__ import annotations

from ops.deploy import build
from ops.hosts import home, runner, tools
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import DependencyError
from ops.kernel.steps import Done, step
from ops.setup import workspace


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
