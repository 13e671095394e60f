"""What only shows when sections are compared: ports, routes, paths, references, names."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ops.kernel import secrets
from ops.kernel.settings import data, hosts, models
from ops.kernel.settings.document import Parsed, dotted
from ops.kernel.settings.faults import did_you_mean
from ops.kernel.settings.lines import KeyPath

PLACEHOLDERS: Final = ("socket", "port")
# A Unix socket path has about 100 characters; the folder takes up to 64 of them (ops/hosts/home.py)
# and the file is named "<environment>-<slot>-<service>.sock".
LONGEST_SOCKET_NAME: Final = 36
_REFERENCES: Final = (
    *("database_url", "migration_url", "reader_url", "admin_url"),
    *("ssh_key", "registry_user", "registry_password"),
)
_FORMATTER: Final = string.Formatter()
_AROUND_NAMES: Final = len("-green-.sock")

Finding = tuple[KeyPath, str]


def check(parsed: Parsed) -> None:
    """Add every fault between sections; a section that is wrong by itself is left out."""
    finders = (_services, _ports, _routes, _socket_names, _references, _sections, _paths)
    for finder in (*finders, hosts.check):
        for path, what in finder(parsed):
            parsed.fault(path, what)


def _services(parsed: Parsed) -> Iterator[Finding]:
    places = parsed.group("environments", models.Environment).values()
    in_containers = bool(places) and all(each.target == "compose" for each in places)
    for name, service in parsed.group("services", models.Service).items():
        path = ("services", name)
        given = parsed.raw["services"][name]
        if path not in parsed.partial:
            if not (in_containers or service.command or service.static):
                yield path, "has neither command nor static"
            yield from _completeness(path, service, given)
        yield from _placeholders(path, given)
        for variable in sorted(service.environment.keys() & service.secrets.keys()):
            yield (*path, "secrets", variable), "stands in environment as well"


def _completeness(
    path: KeyPath, service: models.Service, given: Mapping[str, object]
) -> Iterator[Finding]:
    if service.command and service.static:
        yield (*path, "static"), "cannot stand beside command: make it two services"
    if not service.is_web and not service.container:
        for key in sorted({"health", "live", "health_version"} & given.keys()):
            yield (
                *path,
                key,
            ), "needs a web service: one with command, and port or route, or with container"
    elif service.is_web:
        used = [each for each in PLACEHOLDERS if f"{{{each}}}" in service.command]
        if not used:
            yield (*path, "command"), "does not say where to listen: use {socket} or {port} in it"
        if len(used) > 1:
            yield (*path, "command"), "listens on {socket} and on {port}: use one of them"


def _placeholders(path: KeyPath, given: Mapping[str, object]) -> Iterator[Finding]:
    for key in ("command", "development"):
        try:
            # The same reading as str.format, which fills them in.
            words = [found[1:] for found in _FORMATTER.parse(str(given.get(key, "")))]
        except ValueError:
            yield (*path, key), "has a single brace: write {{ or }} for the character itself"
            continue
        for word, form, conversion in words:
            if word is not None and (word not in PLACEHOLDERS or form or conversion):
                hint = did_you_mean(word, PLACEHOLDERS)
                known = "known are {socket}, {port}"
                yield (*path, key), f"has an unknown placeholder {{{word[:60]}}}: {known}{hint}"
    key = "development" if "development" in given else "command"
    if "{port}" in str(given.get(key, "")) and "port" not in given:
        yield (*path, key), "uses {port}, but the service has no port for development"


def _ports(parsed: Parsed) -> Iterator[Finding]:
    taken: dict[int, KeyPath] = {}
    services = parsed.group("services", models.Service)
    environments = parsed.group("environments", models.Environment)
    given: list[tuple[KeyPath, int]] = [
        (("services", name, "port"), each.port) for name, each in services.items() if each.port
    ]
    given += [
        (("environments", name, "port"), each.port)
        for name, each in environments.items()
        if "port" in each.model_fields_set and not each.hosts
    ]
    for path, port in given:
        first = taken.setdefault(port, path)
        if first != path:
            yield path, f"is {port}, which {dotted(first)} has already"


def _routes(parsed: Parsed) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, service in parsed.group("services", models.Service).items():
        for place, route in enumerate(service.route):
            first = taken.setdefault(route.rstrip("/") or "/", name)
            if first != name:
                path: KeyPath = ("services", name, "route", place)
                yield path, f"is {route!r}, which services.{first} has already"


def _socket_names(parsed: Parsed) -> Iterator[Finding]:
    longest = LONGEST_SOCKET_NAME - _AROUND_NAMES
    for name, service in parsed.group("services", models.Service).items():
        for environment in parsed.group("environments", models.Environment):
            has_socket = service.is_static or "{socket}" in service.command
            if has_socket and len(name) + len(environment) > longest:
                yield ("services", name), (
                    f"and environments.{environment} have names too long for a socket's path: "
                    f"{len(name) + len(environment)} characters together, at most {longest}"
                )


def _references(parsed: Parsed) -> Iterator[Finding]:
    """Never shows the value: somebody may have written the secret itself."""
    for name, service in parsed.group("services", models.Service).items():
        for variable, reference in service.secrets.items():
            wrong = secrets.fault(reference)
            if wrong:
                yield ("services", name, "secrets", variable), wrong
    for name, environment in parsed.group("environments", models.Environment).items():
        for key in _REFERENCES:
            if wrong := _wrong_reference(getattr(environment, key)):
                yield ("environments", name, key), wrong
    backup = parsed.one("backup", data.Backup)
    if backup and (wrong := _wrong_reference(backup.identity)):
        yield ("backup", "identity"), wrong


def _wrong_reference(reference: str) -> str:
    return secrets.fault(reference) if reference else ""


def _sections(parsed: Parsed) -> Iterator[Finding]:
    app = parsed.one("app", models.App)
    names = parsed.environments
    if app and "default_environment" in app.model_fields_set and names:
        chosen = app.default_environment
        if chosen not in names:
            hint = did_you_mean(chosen, names)
            yield ("app", "default_environment"), (
                f"is {chosen!r}, there is only {', '.join(names)}{hint}"
            )
    migrations = parsed.one("migrations", data.Migrations)
    if migrations and "database" not in parsed.raw:
        yield ("migrations",), "needs a section [database]"
    if migrations and migrations.kind == "alembic" and "python" not in parsed.raw:
        yield ("migrations", "kind"), "is 'alembic', which needs a section [python]"
    database = parsed.one("database", data.Database)
    if migrations and database and database.engine == "mysql" and migrations.kind == "sql":
        yield ("migrations", "kind"), "is 'sql', which is for PostgreSQL: MySQL needs 'alembic'"


def _paths(parsed: Parsed) -> Iterator[Finding]:
    app = parsed.one("app", models.App)
    if app is None:
        return
    project = parsed.file.parent
    root = project / app.root
    named: list[tuple[KeyPath, Path, str]] = []
    if python := parsed.one("python", models.Python):
        named.append((("python", "requirements"), python.requirements, "file"))
        for place, package in enumerate(python.packages):
            named.append((("python", "packages", place), package, "folder"))
    if migrations := parsed.one("migrations", data.Migrations):
        kind = "file" if migrations.kind == "alembic" else "folder"
        named.append((("migrations", "path"), migrations.path, kind))
    for name, service in parsed.group("services", models.Service).items():
        named.append((("services", name, "directory"), service.directory, "folder"))
        if service.static:  # a build makes it
            path: KeyPath = ("services", name, "static")
            named.append((path, service.directory / service.static, ""))
    if wrong := _wrong_path(project, root, "folder"):
        yield ("app", "root"), wrong
        return
    for path, relative, kind in named:
        if wrong := _wrong_path(project, root / relative, kind):
            yield path, wrong


def _wrong_path(project: Path, path: Path, kind: str) -> str:
    try:
        real = path.resolve()
        if not real.is_relative_to(project.resolve()):
            return f"leaves the project: {real}"
        there = {"file": real.is_file, "folder": real.is_dir}.get(kind, lambda: True)()
    except (OSError, RuntimeError) as error:  # no permission, too long, a loop of links
        return f"names a {kind or 'folder'} that cannot be read: {_reason(error)}"
    return "" if there else f"names a {kind} that does not exist: {path.relative_to(project)}"


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or "a loop of links"
