"""inv db.init and db.extensions on the embedded server: before the first deploy, twice, and a deploy afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from ops.kernel import exits
from tests.conftest import require
from tests.support.project import Project, place, project

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tiny() -> Iterator[Project]:
    """Give a project whose database was made by db.init, before any deploy."""
    require("haproxy", "haproxy", "/usr/sbin")
    require("pg_ctl", "postgresql", "/usr/lib/postgresql/*/bin")
    with place() as home, project("tiny", home) as made:
        dry = made.run("db.init", "--dry-run")
        assert dry.code == exits.DRY_RUN, dry.text
        assert "Start PostgreSQL, with database tiny_" in dry.out
        assert not (home / "postgres").exists()
        ran = made.run("db.init")
        assert ran.code == 0, ran.text
        yield made


def reader(tiny: Project) -> psycopg.Connection[tuple[object, ...]]:
    passwords = json.loads((tiny.base / "postgres" / "credentials.json").read_text())
    name = f"tiny_{tiny.environment}"
    return psycopg.connect(
        host=str(tiny.home.sockets),
        dbname=name,
        user=f"{name}_reader",
        password=passwords[f"{name}_reader"],
        autocommit=True,
    )


def test_a_second_run_changes_nothing(tiny: Project) -> None:
    before = (tiny.base / "postgres" / "credentials.json").read_bytes()
    again = tiny.run("db.init")
    assert (again.code, "nothing to change" in again.out) == (0, True), again.text
    assert (tiny.base / "postgres" / "credentials.json").read_bytes() == before


def test_a_deploy_works_on_it_and_the_reader_reads_what_migrations_made(tiny: Project) -> None:
    tiny.deployed()
    assert "nothing to change" in tiny.run("db.init").out
    with reader(tiny) as connection:
        rows = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        assert rows
        for (table,) in rows:
            connection.execute(f'select * from "{table}"'.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f'delete from "{table}"'.encode())


def test_a_lost_password_of_the_reader_is_replaced(tiny: Project) -> None:
    path = tiny.base / "postgres" / "credentials.json"
    kept = json.loads(path.read_text())
    del kept[f"tiny_{tiny.environment}_reader"]
    path.write_text(json.dumps(kept))
    shown = tiny.run("db.init", "--dry-run")
    assert "its password" in shown.out, shown.text
    assert tiny.run("db.init").code == 0
    reader(tiny).close()


def test_extensions_of_the_embedded_server_are_made_by_its_superuser(tiny: Project) -> None:
    tiny.edit("ops.toml", 'engine = "postgres"', 'engine = "postgres"\nextensions = ["cube"]')
    ran = tiny.run("db.extensions")
    assert ran.code == 0, ran.text
    assert tiny.query("select count(*) from pg_extension where extname = 'cube'") == [(1,)]
    assert "nothing to change" in tiny.run("db.extensions").out
