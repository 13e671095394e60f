"""The way to a database that is a service of a Compose file: its ports are not published, through the host."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from ops.database import mysql_url
from ops.hosts import machines
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, ConnectionFailed

_POSTGRES: Final = 5432


def reached(context: Context, url: SecretStr) -> SecretStr:
    """Return a URL that works from here.

    Args:
        context: Surroundings.
        url: As the services have it.

    Raises:
        ConfigurationError: Several hosts have such a service, each its own.
        ConnectionFailed: The service does not run.
    """
    settings = context.settings
    parts = urlsplit(url.get_secret_value())
    if settings.environment.target != "compose" or not parts.hostname:
        return url
    every = machines.of(context)
    first = next(iter(every))
    asked = {"project": f"{settings.app.name}-{settings.name}", "service": parts.hostname}
    found = first.call(context, "look.address", asked, reads=True)
    if not found["known"]:
        return url
    if len(every) > 1:
        raise ConfigurationError(
            f"the database is service {parts.hostname} of the Compose file, and each of {len(every)} hosts has its own",
            hint="use one database for all hosts: database_url with the name of its server",
        )
    if not found["address"]:
        raise ConnectionFailed(
            f"service {parts.hostname} does not run on {first.name}",
            hint=f"start it: inv deploy --env {settings.name}",
        )
    default = mysql_url.PORT if mysql_url.is_mysql(url) else _POSTGRES
    host, port = every.way(first, found["address"], parts.port or default)
    who = parts.netloc.rpartition("@")[0]
    there = f"{who}@{host}:{port}" if who else f"{host}:{port}"
    return SecretStr(parts._replace(netloc=there).geturl())
