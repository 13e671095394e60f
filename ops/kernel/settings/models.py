"""What an application is: the frozen models of ops.toml and of the variables.

Each attribute's description is also the text of the reference (docs/configuration.md) and of the
JSON schema that editors use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from ops.kernel.settings.data import Backup, Cleanup, Database, Maintenance, Migrations
from ops.kernel.settings.environment import Environment as Environment
from ops.kernel.settings.model import Model
from ops.kernel.settings.values import (
    Command,
    Filled,
    FrozenMap,
    Inside,
    Name,
    Port,
    Route,
    Seconds,
    Text,
    VariableName,
)


class App(Model):
    """The application."""

    name: Name
    """Name of the application: folders, databases and processes carry it."""
    root: Inside = Path(".")
    """Folder of the application, relative to ops.toml; the other paths are relative to it."""
    default_environment: Name = "development"
    """Environment of a task without `--env` and without ENVIRONMENT."""
    version_variable: VariableName = "APP_VERSION"
    """Variable that carries the release id to every service."""


class Python(Model):
    """Python dependencies: one virtual environment for each lock file, shared by releases."""

    requirements: Inside
    """Lock file for `pip install -r`, with hashes."""
    packages: tuple[Inside, ...] = ()
    """Local packages, installed into the release without their dependencies."""


class Service(Model):
    """A process or a folder of static files.

    With `command` and (`port` or `route`) it is a web service behind the proxy, with `static` a
    folder of files, with `command` alone a background process.
    """

    directory: Inside = Path(".")
    """Working folder of its commands."""
    command: Command = ""
    """Command of a release, split like a shell does, run without one. `{socket}` is a Unix socket
    to listen on, `{port}` a TCP port (then PORT is set too)."""
    development: Command = ""
    """Command of `inv start`; default: `command`."""
    port: Port | None = None
    """Port of the development server."""
    container: Port | None = None
    """Port inside its container, for environments with `target = "compose"`; default: `port` of a `command`."""
    route: tuple[Route, ...] = ()
    """Path prefixes that the proxy sends here; default: `["/"]` for a web service with `port` or
    `container` and for static files."""
    health: Route = "/"
    """Readiness: 200 means that it may get traffic."""
    live: Route = ""
    """Liveness, for the proxy's own checks; default: `health`."""
    health_version: Text = ""
    """Key of the JSON answer of `health` that must equal the release id."""
    stop_timeout: Seconds = 30.0
    """How long its longest request may take to end: "35s", "2m", "1h" or a number of seconds."""
    build: tuple[Command, ...] = ()
    """Commands that build it, run in `directory`; reused while that folder is unchanged."""
    static: Inside | None = None
    """Folder of built files, relative to `directory`. Hashed names below assets/ are immutable for
    a year, the rest is always asked for again."""
    environment: FrozenMap[VariableName, Text] = Field(default={}, validate_default=True)
    """Plain variables."""
    secrets: FrozenMap[VariableName, Filled] = Field(default={}, validate_default=True)
    """Variables by reference: `env:NAME` or `file:PATH`."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = dict(data)
        if not filled.get("development") and isinstance(filled.get("command"), str):
            filled["development"] = filled["command"]
        served = filled.get("static") or (filled.get("command") and filled.get("port"))
        served = served or filled.get("container")
        if served and not filled.get("route"):
            filled["route"] = ["/"]
        filled.setdefault("live", filled.get("health", "/"))
        return filled

    @property
    def is_web(self) -> bool:
        """Whether the proxy sends requests to its processes."""
        return bool(self.command) and (self.port is not None or bool(self.route))

    @property
    def is_static(self) -> bool:
        """Whether it is a folder of files."""
        return self.static is not None

    @property
    def container_port(self) -> int | None:
        """Port inside its container; None for a worker, and for static files of which nobody said it."""
        return self.container or (self.port if self.command else None)


class Compose(Model):
    """The application's Compose file, for environments with `target = "compose"`."""

    files: tuple[Inside, ...] = ()
    """Compose files, each over those before; default: what `docker compose` finds in the application's folder."""
    profiles: tuple[Filled, ...] = ()
    """Profiles whose services run as well."""


class Hooks(Model):
    """Commands that run as steps of a deploy, in the application's folder of the new release."""

    before_build: tuple[Command, ...] = ()
    """Before the services are built."""
    after_build: tuple[Command, ...] = ()
    """After the services were built."""
    before_migrate: tuple[Command, ...] = ()
    """Before migrations."""
    after_migrate: tuple[Command, ...] = ()
    """After migrations."""
    before_switch: tuple[Command, ...] = ()
    """Before traffic goes to the new release."""
    after_switch: tuple[Command, ...] = ()
    """After traffic went to the new release."""


class Options(Model):
    """What the variables of this process say."""

    log_level: Literal["", "debug", "info", "warning", "error"] = ""
    """Lowest level of log lines; default: by the kind of the task."""
    dry_run: bool = False
    """Plan only."""
    safe_mode: bool = False
    """Change nothing, whatever is asked."""
    format: Literal["text", "json"] = "text"
    """Output of tasks."""
    actor: str = ""
    """Who is named in the journal and the audit trail."""
    home: Path | None = None
    """Folder of the daemon, server data and releases; default: chosen by invops."""
    state_url: SecretStr | None = None
    """State database; default: SQLite in .ops/."""
    state_admin_url: SecretStr | None = None
    """Owner's access to the state database, for its own migrations."""
    database_url: SecretStr | None = None
    """External database of the application."""
    redis_url: SecretStr | None = None
    """Redis of the application."""
    supabase_url: SecretStr | None = None
    """Supabase endpoint."""
    supabase_anon_key: SecretStr | None = None
    """Supabase public key."""
    supabase_service_key: SecretStr | None = None
    """Supabase admin key."""


@dataclass(frozen=True)
class Source:
    """Where a value came from.

    Args:
        kind: Of what sort.
        where: "ops.toml:12" or a variable's name; empty for a default.
    """

    kind: Literal["file", "variable", "argument", "default"]
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.where}" if self.kind == "variable" else self.where or self.kind


class Document(Model):
    """The whole of ops.toml."""

    app: App
    """The application."""
    python: Python | None = None
    """Python dependencies."""
    services: FrozenMap[Name, Service] = Field(default={}, validate_default=True)
    """Processes and folders of static files, by name."""
    database: Database | None = None
    """The database."""
    migrations: Migrations | None = None
    """Migrations of its schema."""
    backup: Backup = Backup()
    """Backups of the database."""
    cleanup: FrozenMap[Name, Cleanup] = Field(default={}, validate_default=True)
    """Retention rules, by name."""
    maintenance: Maintenance = Maintenance()
    """When tables and indexes are worked on."""
    compose: Compose = Compose()
    """The Compose file."""
    hooks: Hooks = Hooks()
    """Commands as steps of a deploy."""
    environments: FrozenMap[Name, Environment]
    """Places where the application runs, by name."""

    @model_validator(mode="after")
    def _name_database(self) -> Self:
        if self.database is None or self.database.name:
            return self
        named = self.database.model_copy(update={"name": self.app.name.replace("-", "_")})
        self.__dict__["database"] = named
        return self


class Settings(Document):
    """The settings of one run: ops.toml, the chosen environment, the variables."""

    folder: Path
    """Folder of ops.toml."""
    name: Name
    """Name of the chosen environment."""
    options: Options = Options()
    """What the variables say."""
    sources: FrozenMap[str, Source] = Field(default={}, validate_default=True)
    """Where each value came from, by dotted key; what is missing here is a default."""
    ignored: FrozenMap[str, str] = Field(default={}, validate_default=True)
    """Variables that are set but do not apply to this environment, and why."""
    left_out: FrozenMap[str, str] = Field(default={}, validate_default=True)
    """Hosts of the environment that this run leaves alone, and why; see `ops.kernel.settings.limit`."""

    @property
    def environment(self) -> Environment:
        """The chosen environment."""
        return self.environments[self.name]

    @property
    def app_folder(self) -> Path:
        """Folder of the application in the working tree."""
        return self.folder / self.app.root

    @property
    def ops_folder(self) -> Path:
        """Folder of state and logs."""
        return self.folder / ".ops"
