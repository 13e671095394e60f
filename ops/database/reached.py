"""The way to a database that is a service of a Compose file: its ports are not published, through the host."""

from __future__ import annotations

from collections.abc import Collection
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
        raise _several(parts.hostname, len(every))
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


def refuse_several(context: Context, services: Collection[str]) -> None:
    """Refuse a database of which each host would have its own, before anything is brought to the hosts.

    Args:
        context: Surroundings.
        services: Of the Compose file.

    Raises:
        ConfigurationError: There are several hosts, and the database is one of the services.
    """
    chosen, hosts = context.settings.environment, len(machines.of(context))
    reference = chosen.migration_url or chosen.database_url
    if reference and hosts > 1:
        name = urlsplit(context.secrets.resolve(reference).get_secret_value()).hostname
        if name is not None and name in services:
            raise _several(name, hosts)


def _several(service: str, hosts: int) -> ConfigurationError:
    return ConfigurationError(
        f"the database is service {service} of the Compose file, and each of {hosts} hosts has its own",
        hint="use one database for all hosts: database_url with the name of its server",
    )
