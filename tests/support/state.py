"""State databases for tests, as this process and as other processes see them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ops.kernel.journal import NewRun
from ops.kernel.store import State
from ops.kernel.store.engine import Target, postgresql, sqlite
from ops.kernel.store.state import open_target
from tests.support.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
WRITER = "writer"
"""Role of the application in PostgreSQL; the tables belong to another one."""


@dataclass(frozen=True)
class Place:
    """Where a state database is, made or not.

    Args:
        folder: The project's private folder, for SQLite.
        server: The server, for PostgreSQL.
        name: The database there.
    """

    folder: Path
    server: Postgres | None = None
    name: str = ""

    @property
    def target(self) -> Target:
        """The database as the product sees it."""
        return target(self.arguments)

    @property
    def arguments(self) -> list[str]:
        """The database as another process is told of it."""
        if self.server is None:
            return [str(self.folder)]
        return [self.server.url(self.name, WRITER), self.server.url(self.name)]

    def open(self) -> State:
        """Open it as the application does."""
        state = open_target(self.target)
        assert state is not None
        return state

    def as_owner(self, *statements: str) -> list[Any]:
        """Carry out statements behind the application's back; return the rows of the last one."""
        return self._raw(statements, "owner")

    def as_application(self, *statements: str) -> list[Any]:
        """Carry out statements with the rights of the application, but without its code."""
        return self._raw(statements, WRITER)

    def _raw(self, statements: tuple[str, ...], user: str) -> list[Any]:
        rows: list[Any] = []
        if self.server is None:
            connection = sqlite3.connect(self.folder / "state.db", isolation_level=None)
            try:
                for statement in statements:
                    rows = connection.execute(statement).fetchall()
            finally:
                connection.close()
            return rows
        with self.server.connect(self.name, user) as postgres:
            for statement in statements:
                cursor = postgres.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def worker(self, verb: str, *arguments: object) -> subprocess.Popen[str]:
        """Start another process on this database: `tests.support.state_worker`."""
        values = json.dumps([self.arguments, verb, [str(each) for each in arguments]])
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.state_worker", values],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def target(arguments: list[str]) -> Target:
    """Return the database that `Place.arguments` describes."""
    if len(arguments) == 1:
        return sqlite(Path(arguments[0]))
    return postgresql(SecretStr(arguments[0]), SecretStr(arguments[1]))


def new_run(**changes: Any) -> NewRun:
    """Return a run that is about to begin."""
    values: dict[str, Any] = {
        "task": "deploy",
        "operation": "deploy",
        "environment": "local",
        "target": "local processes",
        "actor": "anna@laptop",
        "invops_version": "0.1.0",
        "plan_schema": 1,
        "plan": {"steps": [], "summary": {"host": "é"}},
        "seen": "0123456789ab",
    }
    return NewRun(**values | changes)
