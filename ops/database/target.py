"""The database of an environment: whose server it is on, what it is called, and the URLs of its roles."""

from __future__ import annotations

from pydantic import SecretStr

from ops.database.reached import reached
from ops.database.server import Server
from ops.hosts import account, home, supervisor
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.data import Database
from ops.kernel.steps import Done, step


def described(context: Context) -> Database:
    """Return the section [database].

    Raises:
        ConfigurationError: There is none.
    """
    found = context.settings.database
    if found is None:
        raise ConfigurationError(
            "ops.toml has no [database]", hint='add [database] with engine = "postgres"'
        )
    return found


def server_of(context: Context) -> Server:
    """Return the embedded server of the project."""
    return Server(
        context, home.of(context.settings), supervisor.daemon_of(context), account.lookup()
    )


def is_external(context: Context) -> bool:
    """Say whether the environment's database is on somebody else's server.

    Raises:
        ConfigurationError: It is MySQL and has no URL: only PostgreSQL is embedded.
    """
    settings = context.settings
    if settings.environment.database_url:
        return True
    if settings.database is not None and settings.database.engine == "mysql":
        raise ConfigurationError(
            f"environment {settings.name} has no URL of its MySQL database",
            hint=f'write database_url = "env:NAME" into [environments.{settings.name}]',
        )
    return False


def name(context: Context) -> str:
    """Return the name of the environment's embedded database: the application's with the environment appended."""
    settings = context.settings
    return f"{described(context).name or settings.app.name}_{settings.name}".replace("-", "_")


def url(context: Context) -> SecretStr | None:
    """Return the URL of the environment's database for the application, None without a database."""
    if context.settings.database is None:
        return None
    if is_external(context):
        return context.secrets.resolve(context.settings.environment.database_url)
    return server_of(context).url(name(context))


def owner_url(context: Context) -> SecretStr:
    """Return the URL of the environment's database for the owner of its schema: migrations, backups, maintenance.

    Raises:
        ConfigurationError: The application has no database, or the embedded server lacks it yet.
        ConnectionFailed: It is a service of the Compose file that does not run.
    """
    described(context)
    if context.settings.environment.migration_url:
        found: SecretStr | None = context.secrets.resolve(
            context.settings.environment.migration_url
        )
    else:
        found = url(context)
    assert found is not None
    return reached(context, found)


def _is_up(context: Context, name: str) -> Done | None:
    return Done("runs already") if server_of(context).has_database(name) else None


@step(title="Start PostgreSQL, with database {name}", limit=minutes(3), check=_is_up)
def server(context: Context, name: str) -> None:
    """Bring the embedded server up and make the environment's database; both stay after a failed deploy."""
    running = server_of(context)
    running.ensure()
    running.ensure_database(name)
