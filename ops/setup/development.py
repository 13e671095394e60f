"""`inv setup --env development`: everything that `inv start` needs; a second run changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ops.database import target
from ops.deploy import hostsetup
from ops.hosts import home, runner, tools
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.lock import FileLock, Lock
from ops.kernel.plan import Plan, Step
from ops.kernel.report import Report
from ops.setup import envfile, install, migrate, variables, workspace

PENDING = "migrations are pending"


def lock(context: Context) -> Lock:
    """Return the lock of the development environment."""
    return FileLock(home.of(context.settings).environment(context.settings.name) / "lock")


def plan(context: Context) -> Plan:
    """Plan what the development environment lacks.

    Raises:
        ConfigurationError: Another environment was chosen.
    """
    settings = context.settings
    if settings.name != workspace.DEVELOPMENT:
        raise ConfigurationError(
            f"setup prepares the environment {workspace.DEVELOPMENT} only, not {settings.name}",
            why="a deploy brings everything that it needs",
            hint=f"inv setup --env {workspace.DEVELOPMENT}, or inv deploy --env {settings.name}",
        )
    steps = [
        *_host(context),
        *_dependencies(context),
        *envfile.steps(context),
        *_migrations(context),
    ]
    target = f"the working tree {settings.app_folder}"
    if not steps:
        return Plan(
            "setup",
            settings.name,
            target,
            (),
            nothing=f"{settings.name} is set up; start it with: inv start",
        )
    return Plan(
        "setup",
        settings.name,
        target,
        tuple(steps),
        {"steps": [each.id for each in steps]},
        _summary(context),
    )


def announce(report: Report, context: Context) -> Report:
    """Add to the report of a finished run what to do next."""
    if report.exit_code or "run" not in report.data:
        return report
    settings = context.settings
    hints = ["inv start"]
    file = workspace.env_file(settings)
    if file.is_file() and not _is_ignored(context, file):
        hints.append(f"keep it out of git: echo {file.name} >> {file.parent / '.gitignore'}")
    for folder in workspace.unlocked_node_folders(settings):
        hints.append(f"install the packages of {folder} yourself: it has no package-lock.json")
    return replace(report, hints=[*report.hints, *hints])


def unfinished(context: Context) -> str:
    """Return what is missing before anything can be started, empty when nothing is."""
    settings = context.settings
    if not workspace.python_ready(settings):
        return "the Python environment of the lock file is missing"
    for folder in workspace.node_folders(settings):
        if not workspace.node_ready(folder):
            return f"{folder}/node_modules is not what package-lock.json says"
    if variables.is_embedded(context):
        try:
            variables.database_url(context)
        except ConfigurationError:
            return "the database does not exist"
    return ""


def _host(context: Context) -> list[Step]:
    settings = context.settings
    embedded = variables.is_embedded(context)
    names = [
        *(["postgres"] if embedded else []),
        *(["node"] if workspace.needs_node(settings) else []),
    ]
    missing = tools.missing(home.of(settings), names)
    programs = [hostsetup.install_tools.step(names=missing)] if missing else []
    server = []
    if embedded and not target.server_of(context).has_database(target.name(context)):
        server = [target.server.step(id="database", name=target.name(context))]
    needed = programs or server or not workspace.python_ready(settings)
    return [*([hostsetup.daemon.step()] if needed else []), *programs, *server]


def _dependencies(context: Context) -> list[Step]:
    settings = context.settings
    steps = []
    folder = workspace.python_folder(settings)
    if settings.python is not None and folder is not None and not workspace.python_ready(settings):
        requirements = str(settings.python.requirements)
        steps.append(
            install.python.step(
                group="dependencies", requirements=requirements, environment=folder.name
            )
        )
    for each in workspace.node_folders(settings):
        if not workspace.node_ready(each):
            relative = str(each.relative_to(settings.app_folder))
            steps.append(
                install.node.step(
                    relative,
                    group="dependencies",
                    directory=relative,
                    lock=workspace.lock_digest(each),
                )
            )
    return steps


def _migrations(context: Context) -> list[Step]:
    settings = context.settings
    if settings.migrations is None or settings.database is None:
        return []
    if not workspace.python_ready(settings) or not _reachable(context):
        return [migrate.migrate.step(when=PENDING)]
    return [migrate.migrate.step()] if migrate.pending(context) else []


def _reachable(context: Context) -> bool:
    embedded = variables.is_embedded(context)
    return not embedded or target.server_of(context).has_database(target.name(context))


def _is_ignored(context: Context, file: Path) -> bool:
    """Ask git; without git or a repository there is nothing to keep it out of."""
    argv = ["git", "-C", str(file.parent), "check-ignore", "--quiet", file.name]
    try:
        return runner.run(context, argv, reads=True, check=False).code != 1
    except DependencyError:
        return True


def _summary(context: Context) -> dict[str, str]:
    settings = context.settings
    facts = {}
    if settings.database is not None:
        embedded = variables.is_embedded(context)
        external = "an external one, from ops.toml, DATABASE_URL or .env.local"
        facts["database"] = (
            f"{target.name(context)} (embedded PostgreSQL)" if embedded else external
        )
    return facts
