"""The application's variables in development: ops.toml, the local file, the database, and who wins.

Order, the first that has a value wins: `.env.local`, `[environments.development]`, the service, its secrets by
reference, the ports of the others. For the database's URL: the shell's DATABASE_URL, `.env.local`, ops.toml, the
embedded server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from ops.database import target
from ops.kernel import redact
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.settings.models import Service, Settings
from ops.setup import workspace
from ops.setup.dotenv import Line

HEADER = "Variables of development, made by `inv setup`; yours to change: they win over ops.toml. Keep it out of git."


def is_embedded(context: Context) -> bool:
    """Say whether development uses the embedded server."""
    settings = context.settings
    return (
        settings.database is not None
        and not target.is_external(context)
        and _own_url(context) is None
    )


def database_url(context: Context) -> SecretStr | None:
    """Return the URL of the development database, None without a database.

    Raises:
        ConfigurationError: The embedded server has no such database yet.
    """
    settings = context.settings
    if settings.database is None:
        return None
    url = settings.options.database_url or _own_url(context)
    if url is None and settings.environment.database_url:
        url = context.secrets.resolve(settings.environment.database_url)
    if url is None:
        url = target.server_of(context).url(target.name(context))
    hide(context, url.get_secret_value())
    return url


def required_url(context: Context) -> SecretStr:
    """Return the URL of the development database.

    Raises:
        ConfigurationError: The application has none, or the embedded server lacks it yet.
    """
    url = database_url(context)
    if url is None:
        raise ConfigurationError(
            "ops.toml has no [database]", hint='add [database] with engine = "postgres"'
        )
    return url


def _own_url(context: Context) -> SecretStr | None:
    """Return a URL in `.env.local` that leads elsewhere than to the embedded server; that one's may be out of date."""
    settings = context.settings
    if settings.database is None:
        return None
    url = workspace.read_env_file(settings).get(settings.database.variable, "")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        embedded = (
            not parts.hostname and parts.path == f"/{target.name(context)}" == f"/{parts.username}"
        )
    except ValueError:
        embedded = False
    return None if embedded else SecretStr(url)


def of_service(context: Context, name: str, url: SecretStr | None) -> dict[str, str]:
    """Return everything that a service's process gets, with its secrets.

    Args:
        context: Surroundings.
        name: The service.
        url: URL of the database.

    Raises:
        ConfigurationError: A secret is missing, or too short to be hidden in output.
    """
    settings = context.settings
    service = settings.services[name]
    own = of_application(context, url)
    found = {**workspace.base_variables(settings), **_ports(settings)}
    if "{port}" in service.development and service.port is not None:
        found["PORT"] = str(service.port)
    found |= {
        **_secrets(context, service, own),
        **service.environment,
        **settings.environment.environment,
    }
    return found | own


def of_application(context: Context, url: SecretStr | None) -> dict[str, str]:
    """Return the variables of `.env.local` with the database's URL; empty secrets are left to their reference."""
    settings = context.settings
    secret = {each for service in settings.services.values() for each in service.secrets}
    found = {
        name: value
        for name, value in workspace.read_env_file(settings).items()
        if value or name not in secret
    }
    for name in secret & found.keys():
        _hide_secret(context, name, found[name])
    if settings.database is not None and url is not None:
        found[settings.database.variable] = url.get_secret_value()
    return found


def hide(context: Context, value: str) -> None:
    """Keep a URL with credentials out of every output."""
    if redact.mask_url(value) != value and len(value) >= redact.SHORTEST:
        context.secrets.redactor.add(value)


def missing(context: Context) -> list[str]:
    """Return the names that `.env.local` lacks, in the order in which they are written."""
    settings = context.settings
    there = workspace.read_env_file(settings)
    database = (
        [settings.database.variable]
        if settings.database is not None and is_embedded(context)
        else []
    )
    names = [*database, *_plain(settings), *_unresolved(context)]
    return [name for name in dict.fromkeys(names) if name not in there]


def lines(context: Context, names: list[str]) -> Iterator[Line]:
    """Yield the lines for the missing names, with today's values."""
    settings = context.settings
    plain, unresolved = _plain(settings), _unresolved(context)
    for name in names:
        if settings.database is not None and name == settings.database.variable:
            yield Line(name, required_url(context).get_secret_value())
        elif name in plain:
            yield Line(name, plain[name])
        else:
            yield Line(
                name, "", f"a secret: write its value here, or provide {unresolved.get(name, 'it')}"
            )


def _plain(settings: Settings) -> dict[str, str]:
    """Return the plain variables; one that services disagree about has no single value and stays in ops.toml."""
    values: dict[str, set[str]] = {}
    for service in workspace.services(settings).values():
        for name, value in {**service.environment, **settings.environment.environment}.items():
            values.setdefault(name, set()).add(value)
    return {name: min(each) for name, each in values.items() if len(each) == 1}


def _unresolved(context: Context) -> dict[str, str]:
    """Return the secrets that nobody provides, with their reference."""
    found = {}
    for service in workspace.services(context.settings).values():
        for name, reference in service.secrets.items():
            try:
                context.secrets.resolve(reference)
            except (ConfigurationError, NotPermitted):
                found[name] = reference
    return found


def _secrets(context: Context, service: Service, own: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, reference in service.secrets.items():
        if name in own:
            continue
        try:
            found[name] = context.secrets.resolve(reference).get_secret_value()
        except ConfigurationError as error:
            file = workspace.env_file(context.settings)
            raise ConfigurationError(
                error.what, why=error.why, hint=f"write {name}=... in {file}, or {error.hint}"
            ) from error
    return found


def _hide_secret(context: Context, name: str, value: str) -> None:
    if len(value) < redact.SHORTEST:
        raise ConfigurationError(
            f"secret {name} in {workspace.env_file(context.settings)} has fewer than {redact.SHORTEST} characters",
            why="it could not be hidden in output without garbling other text",
            hint="use a longer one: openssl rand -hex 16",
        )
    context.secrets.redactor.add(value)


def hide_known(context: Context) -> None:
    """Hide every secret that can be found, for those who only show output."""
    with contextlib.suppress(ConfigurationError, NotPermitted):
        of_application(context, database_url(context))
    for service in context.settings.services.values():
        for reference in service.secrets.values():
            with contextlib.suppress(ConfigurationError, NotPermitted):
                context.secrets.resolve(reference)


def _ports(settings: Settings) -> dict[str, str]:
    """Return <SERVICE>_PORT of every service, for proxies of development servers."""
    return {
        f"{name.upper().replace('-', '_')}_PORT": str(each.port)
        for name, each in workspace.services(settings).items()
        if each.port is not None
    }
