"""State databases: each contract is tested on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel.store import State
from tests.support.postgres import Postgres
from tests.support.state import WRITER, Place


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server with a role for the application."""
    with Postgres.begin() as server:
        with server.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {WRITER} LOGIN".encode())
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a state database will be; nothing is there yet."""
    if request.param == "sqlite":
        return Place(tmp_path / ".ops")
    server: Postgres = request.getfixturevalue("postgres")
    return Place(tmp_path / ".ops", server, server.create())


@pytest.fixture
def state(place: Place) -> Iterator[State]:
    """An open, empty state database."""
    with place.open() as opened:
        yield opened
