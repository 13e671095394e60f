"""A server that asks for passwords, and a project whose environment is on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from ops import tasks
from tests.support import forks
from tests.support.commands import Answer, Command
from tests.support.places import clean_variables
from tests.support.postgres import Postgres

OPS_TOML = """
[app]
name = "{app}"

[database]
engine = "postgres"
{database}

[environments.production]
target = "local"
{urls}
"""
KEYS = ("database_url", "migration_url", "reader_url", "admin_url")


@contextmanager
def server() -> Iterator[Postgres]:
    """Give a server whose superuser `owner` needs no password and everybody else does."""
    with Postgres.begin() as running:
        access = running.folder / "data" / "pg_hba.conf"
        access.write_text("local all owner trust\nlocal all all scram-sha-256\n")
        with running.connect("postgres") as connection:
            connection.execute("select pg_reload_conf()")
        yield running


@dataclass
class Site:
    """A project with an environment `production` on a server.

    Args:
        folder: Of ops.toml.
        server: The server.
        name: Of its database; roles carry it too.
        users: User and password by key of the environment.
        command: Runs tasks in this process.
    """

    folder: Path
    server: Postgres
    name: str
    users: dict[str, str]
    command: Command
    monkeypatch: pytest.MonkeyPatch = field(repr=False)

    def write(self, database: str = "", app: str = "shop", more: str = "") -> None:
        """Write ops.toml; `database` are more lines of that section."""
        urls = "\n".join(f'{key} = "env:{key.upper()}X"' for key in KEYS if key in self.users)
        text = OPS_TOML.format(app=app, database=database, urls=urls)
        (self.folder / "ops.toml").write_text(text + more)

    def url(self, key: str) -> str:
        """Return the URL of a key."""
        database = "postgres" if key == "admin_url" else self.name
        return f"postgresql://{self.users[key]}@/{database}?host={self.server.folder}"

    def __call__(self, *words: str, **variables: str) -> Answer:
        """Run a task on the environment."""
        for name, value in {**self._urls(), **variables}.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.chdir(self.folder)
        return self.command(*words, "--env", "production", tasks=tasks.collection())

    def start(self, *words: str, program: str = "ops.program", **variables: str) -> forks.Process:
        """Start a task on the environment in a process of its own and do not wait for it."""
        argv = [sys.executable, "-m", program, *words, "--env", "production"]
        return forks.start(argv, self.folder, {**clean_variables(), **self._urls(), **variables})

    def _urls(self) -> dict[str, str]:
        return {f"{key.upper()}X": self.url(key) if key in self.users else "" for key in KEYS}

    def connect(self, key: str) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as one of the roles."""
        return psycopg.connect(self.url(key), autocommit=True)

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the database as the superuser; empty when the statement gives no rows."""
        with self.server.connect(self.name) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def users(name: str, **others: str) -> dict[str, str]:
    """Return user and password of each key for a database; `others` replace them, empty removes."""
    made = {
        "migration_url": f"{name}_own:owner-secret",
        "database_url": f"{name}_app:app-secret-1",
        "reader_url": f"{name}_read:reader-secret",
        "admin_url": "owner",
    }
    return {key: value for key, value in {**made, **others}.items() if value}


def changed(answer: Answer) -> Mapping[str, str]:
    """Return what a dry run in JSON would change, by object."""
    found: Mapping[str, str] = answer.json["seen"]["changes"]
    return found
