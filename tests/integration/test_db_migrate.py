"""`inv db.status` and `inv db.migrate` as a person uses them, against a real server."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.migrations import Application, query, revision, session, tables, write
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> SecretStr:
    return SecretStr(server.url(server.create()))


@pytest.fixture
def application(url: SecretStr, tmp_path: Path) -> Application:
    made = Application.make(tmp_path, url)
    write(made.source, v1_a="CREATE TABLE a (x int)", v2_b="CREATE TABLE b ()")
    return made


def test_pending_migrations_are_shown_applied_and_shown_again(application: Application) -> None:
    before = application.run("db.status", "--env", "stage")
    assert before.code == 0
    assert "2 pending" in before.out
    assert "next: inv db.migrate --env stage --dry-run" in before.out
    first = application.migrate()
    assert first.code == 0, first.text
    assert "Apply 1_a.sql, 2_b.sql in one transaction" in first.out
    after = application.run("db.status", "--env", "stage", "--format", "json")
    rows = after.json["migrations"]
    assert [(each["version"], each["name"], each["state"]) for each in rows] == [
        ("1", "a", "applied"),
        ("2", "b", "applied"),
    ]
    run = query(application.url, "SELECT DISTINCT run FROM schema_migrations")[0][0]
    assert {each["run"] for each in rows} == {run}
    assert run in first.out
    report = application.folder / ".ops" / "reports" / "migration_status.json"
    assert json.loads(report.read_text())["counts"] == {"applied": 2}
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert stat.S_IMODE(report.parent.stat().st_mode) == 0o700
    again = application.migrate()
    assert (again.code, "nothing to change: " in again.out) == (0, True)


def test_dry_run_shows_sql_findings_and_locks_and_changes_nothing(application: Application) -> None:
    application.migrate()
    write(application.source, v3_c="ALTER TABLE a ADD COLUMN y int;\nDROP TABLE b;\n")
    ran = application.migrate("--dry-run")
    assert ran.code == 10, ran.text
    assert "-- 3_c.sql, in a transaction\nALTER TABLE a ADD COLUMN y int;\nDROP TABLE b;" in ran.out
    assert "error line 2: DROP TABLE b: the release before may use it" in ran.out
    assert "lock line 1: ACCESS EXCLUSIVE on public.a" in ran.out
    assert "contradiction  3_c.sql:2 DROP TABLE b" in ran.out
    assert tables(application.url) == {"a", "b", "schema_migrations"}
    (shown,) = application.migrate("--dry-run", "--format", "json").json["migrations"]
    assert (shown["version"], shown["locks"][0]["mode"]) == ("3", "ACCESS EXCLUSIVE")


def test_up_to_a_version(application: Application) -> None:
    unknown = application.migrate("--to", "7")
    assert unknown.code == 3
    assert "there is no migration 7: did you mean" in unknown.error
    assert application.migrate("--to", "1").code == 0
    assert application.states() == [("1", "applied"), ("2", "pending")]
    assert "is at 1" in application.migrate("--to", "1").out
    assert application.migrate().code == 0
    back = application.migrate("--to", "1")
    assert back.code == 3
    assert "the database is past 1: 2 came after it: a migration is never taken back" in back.error


def test_changed_and_missing_files_are_told(application: Application) -> None:
    application.migrate()
    write(application.source, v1_a="CREATE TABLE a (x bigint)")
    (application.source.path / "2_b.sql").unlink()
    seen = application.run("db.status", "--env", "stage")
    assert seen.code == 1
    assert "-CREATE TABLE a (x int)\n+CREATE TABLE a (x bigint)" in seen.out
    assert "1 changed, 1 missing" in seen.out
    stopped = application.migrate()
    assert stopped.code == 3
    assert "1_a.sql was changed after it was applied" in stopped.error
    assert "+CREATE TABLE a (x bigint)" in stopped.error


def test_what_cannot_be_undone_is_asked_for(application: Application) -> None:
    write(application.source, v3_c="CREATE INDEX CONCURRENTLY a_x ON a (x)")
    asked = application.run("db.migrate", "--env", "stage")
    assert asked.code == 3
    assert "Apply 3_c.sql; cannot be undone" in asked.out
    assert "add --confirm stage" in asked.error
    assert tables(application.url) == set()


def test_protected_environment_is_asked_for_by_name(application: Application) -> None:
    asked = application.run("db.migrate", "--env", "production", "--yes")
    assert (asked.code, "add --confirm production" in asked.error) == (3, True)
    sure = application.run("db.migrate", "--env", "production", "--confirm", "production")
    assert sure.code == 0, sure.text


def test_failed_migration_leaves_all_as_it_was_and_says_where(application: Application) -> None:
    write(application.source, v3_c="INSERT INTO a VALUES (1);\nSELECT 1/0;")
    failed = application.migrate()
    assert failed.code == 1
    assert "3_c.sql failed: division by zero\n  line 2: SELECT 1/0" in failed.error
    assert tables(application.url) == set()
    assert application.states() == [("1", "failed"), ("2", "failed"), ("3", "failed")]
    write(application.source, v3_c="INSERT INTO a VALUES (1);")
    assert application.migrate().code == 0


def test_transaction_in_the_way_is_shown_before_anything_is_asked(
    application: Application,
) -> None:
    application.migrate()
    write(application.source, v3_c="ALTER TABLE a ADD COLUMN y int")
    with session(application.url, "SELECT count(*) FROM a", name="pg_dump"):
        dry = application.migrate("--dry-run")
        assert (dry.code, "in the way  a dump holds a" in dry.out) == (10, True), dry.text
        real = application.migrate()
        assert (real.code, "a dump holds a: process" in real.error) == (1, True)
    assert application.migrate().code == 0


def test_several_heads_end_with_one_line(url: SecretStr, tmp_path: Path) -> None:
    made = Application.make(tmp_path, url, "alembic")
    revision(made.source, "a", None, "CREATE TABLE a ()")
    dry = made.migrate("--dry-run")
    assert dry.code == 10, dry.text
    assert "-- a.py, in a transaction\nCREATE TABLE a ();" in dry.out
    applied = made.migrate()
    assert applied.code == 0, applied.text
    revision(made.source, "b", "a", "SELECT 1")
    revision(made.source, "c", "a", "SELECT 1")
    for task in ("db.status", "db.migrate"):
        ran = made.run(task, "--env", "stage")
        assert ran.code == 3
        assert ran.error.splitlines() == [
            "error: the migrations have 2 heads: b, c",
            "  try: alembic merge -m 'merge heads' b c",
        ]


@pytest.mark.parametrize("task", ["db.status", "db.migrate"])
def test_what_cannot_be_reached_is_one_line(
    application: Application, server: Postgres, task: str
) -> None:
    cases = [
        (
            f"postgresql://owner@/nothing?host={server.folder}",
            4,
            'database "nothing" does not exist',
        ),
        ("postgresql://owner@/x?host=/nowhere", 4, "cannot connect to database x on /nowhere"),
        ("postgresql://nobody@/x?host=" + str(server.folder), 4, 'role "nobody" does not exist'),
    ]
    for address, code, said in cases:
        ran = application.run(task, "--env", "stage", STAGE_OWNER_URL=address)
        assert ran.code == code, ran.text
        assert said in ran.error
        assert len(ran.error.splitlines()) == 2, ran.error


def test_wrong_password_is_told_and_not_shown(application: Application) -> None:
    with Postgres.begin() as guarded:
        name = guarded.create()
        address = SecretStr(guarded.url(name))
        query(address, "CREATE ROLE anna LOGIN PASSWORD 'the-right-one'")
        rules = guarded.folder / "data" / "pg_hba.conf"
        rules.write_text("local all anna scram-sha-256\nlocal all all trust\n")
        query(address, "SELECT pg_reload_conf()")
        wrong = guarded.url(name, "anna").replace("anna@", "anna:the-wrong-one@")
        ran = application.migrate(STAGE_OWNER_URL=wrong)
    assert ran.code == 4
    assert "password authentication failed" in ran.error
    assert "the-wrong-one" not in ran.text
