"""`inv db.lint` as a person runs it: SQL files and Alembic, with a database and without, bad input, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops.kernel import exits
from ops.setup import workspace
from tests.support.commands import Command
from tests.support.migrations import alembic_project, revision
from tests.support.postgres import Postgres
from tests.support.roles import Site

pytestmark = pytest.mark.integration
MIGRATIONS = """
[migrations]
kind = "{kind}"
path = "{path}"
"""
PYTHON = """
[python]
requirements = "requirements.txt"
"""
FIRST = "create table orders (id bigint primary key, amount int not null);\n"
UNSAFE = "select 1;\n\nalter table orders\n  alter amount type bigint;\ndelete from orders;\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def site(
    server: Postgres,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    users = {"database_url": "owner"}
    made = Site(tmp_path, server, server.create(), users, Command(capsys), monkeypatch)
    monkeypatch.setenv("OPS_HOME", str(tmp_path / "home"))
    made.write(more=MIGRATIONS.format(kind="sql", path="db/migrations"))
    (tmp_path / "db" / "migrations").mkdir(parents=True)
    return made


def write(site: Site, **contents: str) -> None:
    for name, text in contents.items():
        (site.folder / "db" / "migrations" / f"{name.removeprefix('v')}.sql").write_text(text)


def rules(site: Site, *words: str) -> list[tuple[str, int, str]]:
    """Return file, line and rule of each error."""
    found = site("db.lint", "--format", "json", *words).json["findings"]
    return [(one["file"], one["line"], one["rule"]) for one in found if one["severity"] == "error"]


def test_pending_migrations_are_looked_at_and_nothing_is_changed(site: Site) -> None:
    write(site, v1_first=FIRST)
    assert site("db.migrate", "--yes").code == 0
    write(site, v2_second=UNSAFE)
    answer = site("db.lint")
    assert answer.code == exits.GENERAL
    lines = answer.out.splitlines()
    assert any(
        line.startswith("db/migrations/2_second.sql:3  error") and "table-rewrite" in line
        for line in lines
    )
    assert any(
        line.startswith("db/migrations/2_second.sql:5  error") and "delete-without-where" in line
        for line in lines
    )
    assert any("public.orders" in line and "ACCESS EXCLUSIVE" in line for line in lines)
    assert "1 migration: 2 errors, 0 warnings" in answer.out
    assert "1_first" not in answer.out
    assert site.rows("select count(*) from schema_migrations") == [(1,)]


def test_all_and_without_a_database_every_migration_is_looked_at(site: Site) -> None:
    write(site, v1_first=f"{FIRST}delete from orders;")
    assert site("db.migrate", "--yes").code == 0
    assert "0 migrations: 0 errors, 0 warnings" in site("db.lint").out
    expected = [("db/migrations/1_first.sql", 2, "delete-without-where")]
    assert rules(site, "--all") == expected
    site.users["database_url"] = "nobody"
    assert rules(site) == expected
    assert "these are all migrations" in site("db.lint").out


def test_warnings_fail_only_when_strict(site: Site) -> None:
    write(site, v1_first=FIRST)
    answer = site("db.lint")
    assert (answer.code, "1 migration: 0 errors, 1 warning" in answer.out) == (0, True)
    assert site("db.lint", "--strict").code == exits.GENERAL


def test_comment_with_a_reason_is_counted(site: Site) -> None:
    write(
        site,
        v1_first=f"{FIRST}-- invops: allow delete-without-where it is new\ndelete from orders;",
    )
    answer = site("db.lint", "--format", "json")
    assert (answer.code, answer.json["status"]) == (0, "ok")
    assert "1 allowed by a comment" in answer.json["summary"]
    assert [one["rule"] for one in answer.json["allowed"]] == ["delete-without-where"]


def test_file_that_is_not_utf8_is_named_with_its_line(site: Site) -> None:
    path = site.folder / "db" / "migrations" / "1_first.sql"
    path.write_bytes(b"select 1;\nselect '\xe4';\n")
    answer = site("db.lint")
    assert answer.code == exits.GENERAL
    assert "error: 1_first.sql:2 is not UTF-8: byte 0xe4" in answer.err
    assert "Traceback" not in answer.err


def test_syntax_error_is_named_with_its_line(site: Site) -> None:
    write(site, v1_first="select 1;\n\nselect from where;\n")
    assert ("db/migrations/1_first.sql", 3, "syntax-error") in rules(site)
    assert ("db/migrations/1_first.sql", 3, "fails") in rules(site)


def test_missing_squawk_ends_with_the_code_for_dependencies(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(site, v1_first=FIRST)
    monkeypatch.setattr(sys, "executable", str(site.folder / "python"))
    monkeypatch.setenv("PATH", str(site.folder))
    answer = site("db.lint")
    assert answer.code == exits.DEPENDENCY
    assert "squawk is not installed" in answer.err


def test_supabase_layout_has_its_roles_and_wants_row_level_security(site: Site) -> None:
    site.write(more=MIGRATIONS.format(kind="sql", path="supabase/migrations"))
    folder = site.folder / "supabase" / "migrations"
    folder.mkdir(parents=True)
    (folder / "20260101000000_a.sql").write_text(
        "create table a (id bigint primary key, owner uuid references auth.users);\n"
        "alter table a enable row level security;\n"
        "create policy own on a to authenticated using (owner = auth.uid());\n"
        "create table b (id bigint primary key);\n"
    )
    found = site("db.lint", "--format", "json").json["findings"]
    assert [(one["line"], one["rule"]) for one in found] == [(4, "no-row-level-security")]


@pytest.fixture
def alembic(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An Alembic project whose Python is the one that runs the tests."""
    project = alembic_project(site.folder / "app")
    (site.folder / "requirements.txt").touch()
    site.write(
        'variable = "URL"', more=MIGRATIONS.format(kind="alembic", path="app/alembic.ini") + PYTHON
    )
    revision(project, "a", None, "create table orders (id bigint primary key, amount int)")
    monkeypatch.setattr(workspace, "python_ready", lambda _: True)
    monkeypatch.setattr(workspace, "python_folder", lambda _: Path(sys.prefix))
    revision(project, "b", "a", "alter table orders alter amount type bigint")
    return site


def test_alembic_is_linted_by_the_sql_of_its_offline_mode(alembic: Site) -> None:
    assert rules(alembic) == [("SQL of b.py", 1, "table-rewrite")]
    alembic.users["database_url"] = "nobody"
    assert rules(alembic) == [("SQL of b.py", 1, "table-rewrite")]


def test_alembic_without_offline_mode_says_so(alembic: Site) -> None:
    text = alembic.folder / "app" / "alembic" / "versions" / "b.py"
    text.write_text(
        text.read_text().replace("def upgrade():", "def upgrade():\n    op.get_bind().scalar('x')")
    )
    answer = alembic("db.lint")
    assert "cannot be looked at: alembic upgrade --sql does not work here" in answer.out
    assert "0 migrations: 0 errors, 2 warnings" in answer.out
    with psycopg.connect(alembic.url("database_url")) as connection:
        assert connection.execute("select to_regclass('orders')").fetchone() == (None,)
