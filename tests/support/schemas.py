"""A working tree whose environment has a database of its own, for `inv db.schema`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.database import migrations
from ops.deploy import build
from ops.kernel import guard, settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import OpsError
from ops.kernel.report import Report
from ops.kernel.secrets import Secrets
from ops.setup import migrate, schema, workspace
from tests.support.places import ROOT
from tests.support.postgres import Postgres

OPS_TOML = """
[app]
name = "sample"
[services.web]
command = "true"
[database]
engine = "postgres"
{database}
{migrations}
[environments.shared]
target = "local"
database_url = "env:SHARED_URL"
"""
SQL = '[migrations]\nkind = "sql"\npath = "db"'
PYTHON = '[python]\nrequirements = "backend/requirements.txt"\n'
ALEMBIC = f'{PYTHON}[migrations]\nkind = "alembic"\npath = "backend/alembic.ini"'


@dataclass(frozen=True)
class Place:
    """An application's working tree with a database of its own.

    Args:
        folder: Where it is.
        server: Where the database is.
        name: The database.
        patch: Sets its URL.
    """

    folder: Path
    server: Postgres
    name: str
    patch: pytest.MonkeyPatch

    @property
    def context(self) -> Context:
        """The environment of the database."""
        found = settings.load("shared", start=self.folder)
        return Context(found, Secrets(self.folder), Deadline(60), actor="tester@here")

    def toml(self, *, database: str = "", migrations: str = SQL) -> None:
        """Write ops.toml."""
        text = OPS_TOML.format(database=database, migrations=migrations)
        (self.folder / "ops.toml").write_text(text)

    def migrate(self) -> None:
        """Apply what is pending."""
        context = self.context
        migrations.apply(context, migrate.working_tree(context), migrate.url(context))

    def change(self, statement: str) -> None:
        """Change the live database by hand."""
        with self.server.connect(self.name) as connection:
            connection.execute(statement.encode())

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def demand_password(self, role: str, password: str) -> None:
        """Make a role that must say its password; all others are trusted."""
        rules = self.server.folder / "data" / "pg_hba.conf"
        if role not in rules.read_text():
            rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
            self.change(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'; SELECT pg_reload_conf()")

    def compare(self) -> Report:
        """Compare, as a reading task does it."""
        with guard.scope(guard.Mode.READ):
            return schema.compare(self.context)

    def error(self) -> OpsError:
        """Compare, which must fail."""
        with pytest.raises(OpsError) as caught:
            self.compare()
        assert "\n" not in caught.value.what
        return caught.value

    def use_shop(self) -> None:
        """Take the sample's backend: Alembic and models; it is not migrated yet."""
        shutil.copytree(ROOT / "examples/shop/backend", self.folder / "backend")
        self.patch.setenv("OPS_HOME", str(self.folder / "home"))
        self.toml(database='models = "shop.database:metadata"', migrations=ALEMBIC)
        # Alembic, SQLAlchemy and the driver are here as well: no need to install the lock file.
        environment = workspace.python_folder(self.context.settings)
        assert environment is not None
        (environment / "bin").mkdir(parents=True)
        python = environment / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (environment / build.COMPLETE).touch()


def make(server: Postgres, folder: Path, patch: pytest.MonkeyPatch) -> Place:
    """Make an empty working tree with an empty database."""
    name = server.create("template0")
    patch.setenv("SHARED_URL", server.url(name))
    made = Place(folder, server, name, patch)
    made.toml()
    return made


def found(report: Report) -> dict[str, str]:
    return {
        each["object"]: each["difference"]
        for one in report.data["comparisons"]
        for each in one["differences"]
    }
