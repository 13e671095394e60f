"""kill -9 of `inv db.migrate` at each step and inside of a migration: the next run needs no hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.migrations import Application, query, session, wait_until, write
from tests.support.postgres import Postgres

STEPS = ("apply:1", "apply:2", "apply:3")
EVENTS = ("step.started", "note", "step.acted")
BUILDING = "SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database()"
SLEEPING = """SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND state = 'active'
    AND pid <> pg_backend_pid() AND datname = current_database()"""
INDEXES = (
    "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'a'::regclass"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def application(server: Postgres, tmp_path: Path) -> Application:
    made = Application.make(tmp_path, SecretStr(server.url(server.create())))
    write(
        made.source,
        v1_a="CREATE TABLE a (x int); INSERT INTO a VALUES (1)",
        v2_b="INSERT INTO a VALUES (2);\nCREATE INDEX CONCURRENTLY a_x ON a (x);\nINSERT INTO a VALUES (3)",
        v3_c="INSERT INTO a VALUES (4)",
    )
    return made


def assert_migrated_once(application: Application) -> None:
    assert query(application.url, "SELECT x FROM a ORDER BY x") == [(1,), (2,), (3,), (4,)]
    assert query(application.url, INDEXES) == [("a_x", True)]
    assert application.states() == [(each, "applied") for each in "123"]
    again = application.migrate()
    assert (again.code, "nothing to change" in again.text) == (0, True), again.text


def test_killed_at_each_step_the_next_run_converges(application: Application) -> None:
    for step in STEPS:
        for event in EVENTS:
            killed = application.migrate(fault=f"kill:{event}:{step}")
            assert killed.code == -9, killed.text
    again = application.migrate()
    assert again.code == 0, again.text
    assert_migrated_once(application)


def test_killed_while_the_server_works_the_next_run_waits_for_it_and_converges(
    application: Application,
) -> None:
    write(application.source, v1_a="INSERT INTO a VALUES (1)")
    query(application.url, "CREATE TABLE a (x int)")
    # CONCURRENTLY waits for writers of its table; this one ends, without a trace, when the runner is dead.
    with session(application.url, "INSERT INTO a VALUES (9)") as writer:
        process = application.start("db.migrate", "--env", "stage", "--yes")
        wait_until(lambda: query(application.url, BUILDING))
        process.kill()
        process.wait()
        assert ("2", "running") in application.states()
        second = application.start("db.migrate", "--env", "stage", "--yes")
        writer.rollback()
    out, error = second.communicate(timeout=60)
    assert second.returncode == 0, out + error
    process.communicate()
    assert_migrated_once(application)


def test_killed_inside_a_transaction_nothing_of_it_stays(application: Application) -> None:
    write(
        application.source,
        v1_a="CREATE TABLE a (x int); SELECT pg_sleep(300); INSERT INTO a VALUES (1)",
    )
    process = application.start("db.migrate", "--env", "stage", "--yes")
    (row,) = wait_until(lambda: query(application.url, SLEEPING))
    process.kill()
    process.communicate()
    assert query(application.url, "SELECT to_regclass('a')") == [(None,)]
    query(application.url, f"SELECT pg_terminate_backend({row[0]})")
    assert application.states()[0] == ("1", "running")
    write(application.source, v1_a="CREATE TABLE a (x int); INSERT INTO a VALUES (1)")
    again = application.migrate()
    assert again.code == 0, again.text
    assert_migrated_once(application)
