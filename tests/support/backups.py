"""An application with a database on a server of the tests' own, and backups of it in a folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from ops.backup import make, storage
from ops.backup.manifest import Manifest
from ops.backup.storage import Store
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.events import Event
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets
from tests.support.postgres import Postgres

_OPS_TOML = """
[app]
name = "shop"
default_environment = "live"

[database]
engine = "postgres"

[backup]
destination = "{folder}/backups"
{backup}

[environments.live]
target = "local"
database_url = "env:DB"
{environment}
"""


@dataclass
class Shop:
    """An application whose environment `live` has its database on a server.

    Args:
        folder: Of ops.toml.
        server: The server.
        database: Name of its database.
        user: Who owns it, and whom the environment's URL names.
        variables: What a process of it is given.
        events: What was announced.
    """

    folder: Path
    server: Postgres
    database: str
    user: str
    variables: dict[str, str]
    events: list[Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of its database."""
        return self.server.url(self.database, self.user)

    @property
    def files(self) -> Path:
        """Where its archives and manifests are."""
        return self.folder / "backups" / "shop" / "live"

    def context(self, seconds: float = 120, run_id: str = "") -> Context:
        """Return a context of an operation on it."""
        loaded = settings.load(start=self.folder, environ=self.variables)
        secrets = Secrets(self.folder, environ=self.variables, redactor=Redactor())
        return Context(
            loaded, secrets, Deadline(seconds), run_id=run_id, announce=self.events.append
        )

    def configure(self, backup: str = "", environment: str = "") -> None:
        """Write ops.toml with more lines in its sections."""
        text = _OPS_TOML.format(folder=self.folder, backup=backup, environment=environment)
        (self.folder / "ops.toml").write_text(text)

    def store(self) -> Store:
        """Return where its backups are."""
        return storage.of(self.context())

    def take(self) -> Manifest:
        """Take a backup."""
        return make.take(self.context(), SecretStr(self.url), purpose="task")

    def archive(self, manifest: Manifest) -> Path:
        """Return the file of an archive."""
        return self.files / manifest.archive

    def ask(self, statement: str, database: str = "") -> list[Any]:
        """Ask one of the server's databases as its superuser."""
        with self.server.connect(database or self.database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def databases(self) -> dict[str, str]:
        """Return the databases that begin with its name, with their comments."""
        query = (
            "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
        )
        rows = self.ask(query, "postgres")
        return {name: note for name, note in rows if name.startswith(self.database)}

    def drop(self) -> None:
        """Drop all databases that begin with its name."""
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            for name in self.databases():
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                connection.execute(drop)


@contextmanager
def shop(server: Postgres, user: str = "owner") -> Iterator[Shop]:
    """Give an application with an empty database; afterwards both are gone."""
    folder = Path(tempfile.mkdtemp(prefix="invops-shop-"))
    folder.chmod(0o755)
    (folder / "backups").mkdir()
    name = server.create()
    variables = {"OPS_HOME": str(folder / "home"), "DB": server.url(name, user)}
    made = Shop(folder, server, name, user, variables)
    made.configure()
    try:
        yield made
    finally:
        made.drop()
        shutil.rmtree(folder)
