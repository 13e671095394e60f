"""A Compose file: its services, databases and variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from ops.setup.init import processes
from ops.setup.init.commands import Converted, convert
from ops.setup.init.draft import Draft
from ops.setup.init.processes import Process
from ops.setup.init.repository import Repository

FILES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
SECRET: Final = re.compile(r"SECRET|TOKEN|PASSW|API_?KEY|PRIVATE|CREDENTIAL|SALT|_KEY$|_DSN$")
DATABASE_URL: Final = re.compile(
    r"(?:\w+_)?(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG)_(?:URL|URI|DSN)|\w+_DSN|DSN"
)
_POSTGRES: Final = re.compile(r"(^|/)(postgres|postgis|pgvector|timescaledb|supabase/postgres)")
_EXTENDED: Final = re.compile(r"postgis|timescale|pgvector|supabase|citus")
_CACHE: Final = re.compile(r"(^|/)(redis|valkey|dragonfly|keydb)")
_OTHER: Final = re.compile(
    r"(^|/)(mysql|mariadb|mongo|elasticsearch|rabbitmq|kafka|minio|memcached)"
)
_PROXY: Final = re.compile(r"(^|/)(nginx|caddy|traefik|haproxy)")
_REFERENCE: Final = re.compile(r"\$\{(\w+)(?::?[-?](.*))?\}|\$(\w+)")


@dataclass
class Compose:
    """What a Compose file says.

    Args:
        processes: Services that are built here.
        postgres: Where a PostgreSQL service stands, empty when there is none.
        database: Its database's name.
        variable: Variable that carries the URL of it.
        dockerfiles: Those that its services use.
    """

    processes: list[Process] = field(default_factory=list)
    postgres: str = ""
    database: str = ""
    variable: str = ""
    dockerfiles: set[PurePosixPath] = field(default_factory=set)


def look(draft: Draft, repository: Repository) -> Compose:
    """Read the Compose file nearest to the top."""
    found = Compose()
    path = next(iter(repository.named(*FILES)), None)
    if path is None:
        return found
    services = repository.yaml(path).get("services")
    if not isinstance(services, dict):
        return found
    names = [str(name) for name in services]
    for name, service in services.items():
        if isinstance(service, dict):
            _service(draft, repository, path, found, str(name), service, names)
    return found


def _service(
    draft: Draft,
    repository: Repository,
    path: PurePosixPath,
    found: Compose,
    name: str,
    service: dict[str, Any],
    names: list[str],
) -> None:
    image, where = str(service.get("image") or ""), f"{path}: {name}"
    if service.get("build"):
        found.processes += _built(draft, repository, path, found, name, service, names)
    elif _POSTGRES.search(image):
        found.postgres = where
        found.database = _variables(service).get("POSTGRES_DB") or ""
        draft.find(f"PostgreSQL ({image})", where, "[database]")
        if _EXTENDED.search(image):
            draft.decide(
                f"{where} is {image}: the embedded server has PostgreSQL's own extensions only; "
                "give database_url in the environment if you need others"
            )
    elif _CACHE.search(image):
        draft.find(f"cache ({image})", where, "nothing: invops does not run it yet")
        draft.decide(
            f"{where}: run {image.rpartition('/')[2]} yourself and give its URL to the services"
        )
    elif _PROXY.search(image):
        draft.find(f"proxy ({image})", where, "nothing: invops has its own, see `route`")
    elif image:
        draft.find(image, where, "nothing: invops does not run it yet")
        if _OTHER.search(image):
            draft.decide(f"{where}: run {image} yourself and give its address to the services")


def _built(
    draft: Draft,
    repository: Repository,
    path: PurePosixPath,
    found: Compose,
    name: str,
    service: dict[str, Any],
    names: list[str],
) -> list[Process]:
    build = service["build"]
    context = str(build.get("context") or ".") if isinstance(build, dict) else str(build)
    folder = _inside(path.parent, context)
    if folder is None:
        draft.decide(f"{path}: {name} is built outside of this repository ({context[:80]})")
        return []
    file = str(build.get("dockerfile") or "Dockerfile") if isinstance(build, dict) else "Dockerfile"
    docker = _inside(folder, file)
    read = processes.Dockerfile(folder)
    if docker is not None and repository.has(docker):
        found.dockerfiles.add(docker)
        read = processes.dockerfile(repository, docker)
    where = f"{path}: {name}"
    if read.serves_files:
        draft.find(f"proxy ({read.base})", where, "nothing: invops has its own, see `route`")
        return []
    command = _command(service, read)
    port = _port(service) or read.port or command.port
    made = Process(
        name,
        folder,
        where,
        f"Compose service {name}",
        command,
        port,
        _health(service) or read.health,
    )
    _environment(draft, found, made, service, names)
    return [made]


def _command(service: dict[str, Any], read: processes.Dockerfile) -> Converted:
    given = service.get("command")
    if isinstance(given, str | list) and given:
        return convert(given)
    return read.command


def _port(service: dict[str, Any]) -> int | None:
    """Return the container's side of the first port."""
    ports = [*_list(service.get("ports")), *_list(service.get("expose"))]
    for each in ports:
        text = str(each.get("target", "")) if isinstance(each, dict) else str(each)
        found = re.search(r"(\d+)(?:/tcp)?$", text)
        if found:
            return int(found[1])
    return None


def _health(service: dict[str, Any]) -> str:
    check = service.get("healthcheck")
    test = check.get("test") if isinstance(check, dict) else ""
    return processes.health_of(
        " ".join(map(str, test)) if isinstance(test, list) else str(test or "")
    )


def _environment(
    draft: Draft, found: Compose, made: Process, service: dict[str, Any], names: list[str]
) -> None:
    """Sort the variables: the database's URL, secrets by reference, plain values."""
    for name, value in _variables(service).items():
        postgres = bool(value and re.match(r"postgres(ql)?(\+\w+)?://", value))
        if postgres or DATABASE_URL.fullmatch(name):
            found.variable = found.variable or name
            driver = re.match(r"postgres(?:ql)?(\+\w+)://", value or "")
            if driver:
                draft.decide(
                    f"{name} begins with postgresql{driver[1]}:// in {made.where}, "
                    "invops gives postgresql://: does it accept that?"
                )
            continue
        if name in ("PORT", "HOST") or not re.fullmatch(r"[A-Za-z_]\w*", name):
            continue
        plain, reference = _value(name, value)
        if reference:
            made.secrets[name] = f"env:{reference}"
        else:
            made.environment[name] = _local(plain, names)
    if service.get("env_file"):
        draft.decide(
            f"{made.where} reads variables from a file (env_file): add those it needs to "
            "`environment` or `secrets` of the service"
        )


def _value(name: str, value: str | None) -> tuple[str, str]:
    """Return the plain value, or the variable that a secret comes from."""
    if value is None:
        return "", name
    found = _REFERENCE.fullmatch(value)
    if found and not found[2]:
        return "", found[1] or found[3]
    if (
        SECRET.search(name)
        or re.search(r"://[^/\s:@]*:[^@\s]+@", value)
        or ("$" in value and not found)
    ):
        return "", (found[1] or found[3]) if found else name
    return (found[2] if found else value), ""


def _local(value: str, names: list[str]) -> str:
    """Replace the host name of another service by this machine."""
    for name in names:
        value = re.sub(rf"(://|@){re.escape(name)}(?=[:/]|$)", r"\g<1>127.0.0.1", value)
        if value == name:
            return "127.0.0.1"
    return value


def _variables(service: dict[str, Any]) -> dict[str, str | None]:
    given = service.get("environment")
    if isinstance(given, dict):
        return {str(key): _text(value) for key, value in given.items()}
    pairs = [str(each).partition("=") for each in _list(given)]
    return {name: value if equals else None for name, equals, value in pairs}


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _inside(folder: PurePosixPath, relative: str) -> PurePosixPath | None:
    """Join without leaving the repository; None when it would."""
    parts = list(folder.parts)
    for part in PurePosixPath(relative).parts:
        if part == "/" or (part == ".." and not parts) or "://" in relative:
            return None
        parts = parts[:-1] if part == ".." else [*parts, part]
    return PurePosixPath(*parts)
