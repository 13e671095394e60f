"""A server that asks for passwords, for the tasks that work on it; tests with another one have their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import roles
from tests.support.commands import Command
from tests.support.postgres import Postgres
from tests.support.retention import Retention
from tests.support.roles import Site

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with roles.server() as running:
        yield running


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def empty(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> Site:
    """Return a site without a database."""
    name = f"shop{next(NUMBERS)}"
    made = Site(tmp_path, server, name, roles.users(name), command, monkeypatch)
    made.write('schemas = ["public", "sales"]')
    return made


@pytest.fixture
def site(empty: Site) -> Site:
    """Return a site whose database is made, with a table of a migration in each schema."""
    answer = empty("db.init")
    assert answer.code == 0, answer.err
    with empty.connect("migration_url") as owner:
        owner.execute("create table orders (id serial primary key, total int)")
        owner.execute("create table sales.totals (id int generated always as identity, day date)")
    return empty


@pytest.fixture
def db(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> Retention:
    """Return a site with an empty table of events, for retention rules."""
    users = {"database_url": "owner"}
    made = Retention(Site(tmp_path, server, server.create(), users, command, monkeypatch))
    made.begin()
    return made
