"""Folders of SQL files and Alembic projects for tests of migrations."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from ops.database.migrations import Source, pending
from ops.deploy import build
from ops.hosts import home
from ops.kernel import settings
from ops.kernel.context import Context
from tests.support import forks

ROOT = Path(__file__).parents[2]
ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
if context.is_offline_mode():
    context.configure(url="postgresql://", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(os.environ["URL"].replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration={each})
        with context.begin_transaction():
            context.run_migrations()
"""
REVISION = '''"""{title}."""
from alembic import op
revision = "{id}"
down_revision = {before!r}
{more}
def upgrade():
    {body}
'''
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"


def sql_folder(folder: Path) -> Source:
    """Make an empty folder of SQL files."""
    folder.mkdir(parents=True)
    return Source("sql", folder, Path(sys.executable), {}, "URL", None)


def write(source: Source, **contents: str) -> None:
    """Write SQL files; `v1_a` is 1_a.sql."""
    for name, text in contents.items():
        (source.path / f"{name.removeprefix('v')}.sql").write_text(text)


def alembic_project(folder: Path, *, each: bool = False) -> Source:
    """Make an Alembic project without revisions; `each` gives each revision its own transaction."""
    (folder / "alembic" / "versions").mkdir(parents=True)
    ini = folder / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    (folder / "alembic" / "env.py").write_text(ENV.format(each=each))
    return Source("alembic", ini, Path(sys.executable), {}, "URL", None)


def revision(
    source: Source, id: str, before: str | None, statement: str, more: str = "", body: str = ""
) -> None:
    """Write a revision that executes one statement, or has another body."""
    execute = body or f'op.execute("{statement}")'
    text = REVISION.format(title=f"Make {id}", id=id, before=before, body=execute, more=more)
    (source.path.parent / "alembic" / "versions" / f"{id}.py").write_text(text)


def ids(context: Context, source: Source, url: SecretStr) -> list[str]:
    """Return what is pending."""
    return [each.id for each in pending(context, source, url)]


def query(url: SecretStr, statement: str) -> list[Any]:
    """Return the rows of a query."""
    with psycopg.connect(url.get_secret_value(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def tables(url: SecretStr) -> set[str]:
    """Return the tables of the schema public."""
    return {row[0] for row in query(url, TABLES)}


@contextmanager
def session(url: SecretStr, *statements: str, name: str = "report") -> Iterator[Any]:
    """Hold a transaction open for a block, after some statements."""
    address = url.get_secret_value()
    with psycopg.connect(address, application_name=name) as connection:
        for each in statements:
            connection.execute(each.encode())
        yield connection


def wait_until(happened: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something that another thread or process does, and return it."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


class Background:
    """Work in a thread; its error is raised by `result`."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._answer: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the end; return or raise."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "it does not end"
        if self._error is not None:
            raise self._error
        return self._answer


OPS_TOML = """
[app]
name = "ledger"
[services.page]
static = "dist"
[database]
engine = "postgres"
[migrations]
kind = "{kind}"
path = "{path}"
[environments.stage]
target = "local"
database_url = "env:STAGE_URL"
migration_url = "env:STAGE_OWNER_URL"
[environments.production]
target = "local"
protected = true
state = "local"
database_url = "env:STAGE_URL"
"""


@dataclass(frozen=True)
class Ran:
    """What a command of invops answered."""

    code: int
    out: str
    error: str

    @property
    def text(self) -> str:
        """Both outputs."""
        return self.out + self.error

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def _borrow_python(folder: Path) -> None:
    """Let the tests' own Python, which has Alembic, stand in for the environment of a lock file."""
    (folder / "requirements.txt").write_text("# nothing\n")
    loaded = settings.load("stage", start=folder, environ={"OPS_HOME": str(folder / "home")})
    environment = home.of(loaded).venvs / build.digest((folder / "requirements.txt").read_bytes())
    (environment / "bin").mkdir(parents=True)
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (environment / build.COMPLETE).touch()


@dataclass(frozen=True)
class Application:
    """A project that has migrations and a database on a server of somebody else.

    Args:
        folder: With ops.toml.
        url: Its database.
        source: Its migrations.
    """

    folder: Path
    url: SecretStr
    source: Source

    @classmethod
    def make(cls, folder: Path, url: SecretStr, kind: str = "sql") -> Application:
        """Make the project in an empty folder."""
        source = sql_folder(folder / "db") if kind == "sql" else alembic_project(folder)
        path = "db" if kind == "sql" else "alembic.ini"
        text = OPS_TOML.format(kind=kind, path=path)
        if kind == "alembic":
            text = text.replace('engine = "postgres"', 'engine = "postgres"\nvariable = "URL"')
            text += '[python]\nrequirements = "requirements.txt"\n'
        (folder / "ops.toml").write_text(text)
        if kind == "alembic":
            _borrow_python(folder)
        return cls(folder, url, source)

    def start(self, *words: str, fault: str = "", **variables: str) -> forks.Process:
        """Start a command of invops, with the observer that does harm."""
        address = self.url.get_secret_value()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "OPS_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "STAGE_URL": address,
            "STAGE_OWNER_URL": address,
            "FAULT": fault,
            **{name: os.environ[name] for name in os.environ if name.startswith("COVERAGE")},
            **variables,
        }
        argv = [sys.executable, "-m", "tests.faults.run", *words]
        return forks.start(argv, self.folder, environment)

    def run(self, *words: str, fault: str = "", **variables: str) -> Ran:
        """Run a command of invops to its end."""
        process = self.start(*words, fault=fault, **variables)
        out, error = process.communicate(timeout=120)
        return Ran(process.wait(), out, error)

    def migrate(self, *words: str, fault: str = "", **variables: str) -> Ran:
        """Run `db.migrate` without being asked."""
        return self.run("db.migrate", "--env", "stage", "--yes", *words, fault=fault, **variables)

    def states(self) -> list[tuple[str, str]]:
        """Return version and state of every migration, as `db.status` answers."""
        ran = self.run("db.status", "--env", "stage", "--format", "json")
        return [(each["version"], each["state"]) for each in ran.json["migrations"]]
