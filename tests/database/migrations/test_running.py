"""One runner at a time, locks and long transactions, statements that no transaction can take back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import Source, lock, obstacles, session
from ops.kernel.context import Context
from ops.kernel.errors import Busy, ConfigurationError, StepFailed
from ops.kernel.events import Event
from tests.support.migrations import Background, ids, query
from tests.support.migrations import session as transaction
from tests.support.migrations import tables, wait_until, write

INDEXES = """SELECT indexrelid::regclass::text, indisvalid FROM pg_index
    WHERE indrelid = 'a'::regclass ORDER BY 1"""
CONCURRENTLY = "CREATE INDEX CONCURRENTLY a_x ON a (x)"


def listening(context: Context, told: list[str]) -> Context:
    """Return the context with an observer of its notes."""

    def observe(event: Event) -> None:
        told.append(event.message)

    return replace(context, announce=observe)


@pytest.fixture
def table(context: Context, source: Source, url: SecretStr) -> str:
    write(source, v1_a="CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1), (2)")
    migrations.apply(context, source, url)
    return "a"


def test_of_two_runners_one_waits_and_both_end_well(
    context: Context, source: Source, url: SecretStr, table: str
) -> None:
    write(source, v2_b=CONCURRENTLY, v3_c="CREATE TABLE c ()")
    told: list[str] = []
    with transaction(url, "INSERT INTO a VALUES (5)"):  # CONCURRENTLY waits for its end
        first = Background(lambda: migrations.apply(context, source, url))
        wait_until(lambda: query(url, "SELECT pid FROM pg_stat_progress_create_index"))
        second = Background(lambda: migrations.apply(listening(context, told), source, url))
        wait_until(lambda: told)
    assert [each.id for each in first.result()] == ["2", "3"]
    assert second.result() == []
    assert "waiting for invops migrate tester@here (user owner, process" in told[0]
    assert query(url, INDEXES) == [("a_x", True)]


def test_runner_that_does_not_end_is_named(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    with lock.hold(context, url), pytest.raises(Busy) as busy:
        migrations.apply(context.within(0.5), source, url)
    assert "is being migrated by invops migrate tester@here (user owner" in str(busy.value)
    assert tables(url) == set()
    migrations.apply(context, source, url)


def test_what_a_killed_runner_left_on_the_server_is_waited_for(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    left = "a statement that invops migration tester@here left behind"
    with (
        transaction(url, "SELECT 1", name=lock.worker(context)),
        pytest.raises(Busy, match=left),
    ):
        migrations.apply(context.within(0.5), source, url)
    migrations.apply(context, source, url)


def test_lock_that_is_not_free_in_time_is_tried_again(
    context: Context, source: Source, url: SecretStr, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_TIMEOUT", "50ms")
    write(source, v2_b="CREATE TABLE b (); ALTER TABLE a ADD COLUMN y int")
    told: list[str] = []
    with transaction(url, "LOCK TABLE a") as held:
        work = Background(lambda: migrations.apply(listening(context, told), source, url))
        wait_until(lambda: any("a lock was not free within 50ms" in each for each in told))
        assert query(url, "SELECT to_regclass('b')") == [(None,)]
        held.rollback()
        work.result()
    assert ids(context, source, url) == []


def test_lock_that_never_gets_free_leaves_all_as_it_was(
    context: Context, source: Source, url: SecretStr, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_TIMEOUT", "50ms")
    write(source, v2_b="CREATE TABLE b (); ALTER TABLE a ADD COLUMN y int")
    with transaction(url, "LOCK TABLE a"), pytest.raises(StepFailed, match="lock timeout"):
        migrations.apply(context.within(1), source, url)
    assert "b" not in tables(url)


@pytest.mark.parametrize(
    ("name", "age", "statement", "said"),
    [
        ("report", 0.0, "ALTER TABLE a ADD COLUMN y int", "a transaction of "),
        ("pg_dump", 60.0, "CREATE TABLE b ()", "a dump holds a: process "),
    ],
)
def test_long_transaction_and_dump_are_named_before_anything_waits(
    context: Context,
    source: Source,
    url: SecretStr,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    age: float,
    statement: str,
    said: str,
) -> None:
    monkeypatch.setattr(obstacles, "LONG", age)
    write(source, v2_b=statement)
    with transaction(url, "SELECT count(*) FROM a", name=name) as held:
        with pytest.raises(Busy, match=said) as busy:
            migrations.apply(context, source, url)
        assert (
            f", user owner, {name}, idle in transaction, SELECT count(*) FROM a" in busy.value.what
        )
        assert f"pg_terminate_backend({held.info.backend_pid})" in busy.value.hint
    migrations.apply(context, source, url)


def test_long_transaction_on_another_table_is_in_nobodys_way(
    context: Context, source: Source, url: SecretStr, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstacles, "LONG", 0.0)
    write(source, v2_b="CREATE TABLE b ()")
    with transaction(url, "SELECT count(*) FROM a"):
        migrations.apply(context, source, url)


def test_failed_concurrently_is_cleaned_up_and_goes_on_where_it_stopped(
    context: Context, source: Source, url: SecretStr, table: str
) -> None:
    text = "INSERT INTO a VALUES (3);\nCREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x);"
    write(source, v2_b=text)
    with pytest.raises(
        StepFailed, match=r"2_b.sql failed: could not create unique index.*\n  line 2"
    ):
        migrations.apply(context, source, url)
    assert query(url, INDEXES) == []
    (entry,) = [each for each in migrations.entries(context, source, url) if each.id == "2"]
    assert entry.state == "running"
    assert entry.migration is not None
    assert entry.migration.statements_done == 1
    query(url, "DELETE FROM a WHERE x = 1")
    migrations.apply(context, source, url)
    assert query(url, INDEXES) == [("a_x", True)]
    assert query(url, "SELECT count(*) FROM a WHERE x = 3") == [(1,)]


def test_rest_of_a_half_applied_file_may_be_corrected_but_not_its_beginning(
    context: Context, source: Source, url: SecretStr, table: str
) -> None:
    first = "-- invops: no-transaction\nINSERT INTO a VALUES (3);\n"
    write(source, v2_b=f"{first}SELECT nothing;")
    with pytest.raises(StepFailed, match='column "nothing" does not exist'):
        migrations.apply(context, source, url)
    write(source, v2_b="-- invops: no-transaction\nINSERT INTO a VALUES (4);\nSELECT 1;")
    with pytest.raises(ConfigurationError, match="the first 1 statements are carried out"):
        migrations.apply(context, source, url)
    write(source, v2_b=f"{first}SELECT 1;")
    migrations.apply(context, source, url)
    assert query(url, "SELECT count(*) FROM a WHERE x > 2") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM a",
        "REINDEX TABLE CONCURRENTLY a",
        "ALTER SYSTEM RESET work_mem",
        "BEGIN; INSERT INTO a VALUES (7); COMMIT; INSERT INTO a VALUES (8)",
        "-- invops: no-transaction\nDO $$ BEGIN INSERT INTO a VALUES (9); COMMIT; END $$",
    ],
)
def test_what_cannot_run_in_a_transaction_runs_alone(
    context: Context, source: Source, url: SecretStr, table: str, statement: str
) -> None:
    write(source, v2_b=statement, v3_c="CREATE TABLE c ()")
    assert [each.transactional for each in migrations.pending(context, source, url)] == [
        False,
        True,
    ]
    migrations.apply(context, source, url)
    assert ids(context, source, url) == []


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("SELECT 'create index concurrently'; CREATE INDEX i ON a (x)", True),
        ("/* VACUUM */ SELECT 1", True),
        ("BEGIN; SELECT 1; COMMIT", True),
        ("SAVEPOINT s; ROLLBACK TO SAVEPOINT s; ROLLBACK WORK TO s", True),
        ("create  unique\nindex /* x */ concurrently i on a (x)", False),
        ("DROP INDEX CONCURRENTLY i", False),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE a", False),
        ("REINDEX SCHEMA public", False),
        ("ALTER TABLE a DETACH PARTITION b CONCURRENTLY", False),
        ("SELECT 1; ROLLBACK; SELECT 2", False),
        ("BEGIN; SELECT 1; COMMIT; SELECT 2", False),
        ("-- invops: no-transaction\nSELECT 1", False),
    ],
)
def test_which_files_a_transaction_can_take_back(
    context: Context, source: Source, url: SecretStr, text: str, states: bool
) -> None:
    write(source, v1_a=text)
    (waiting,) = migrations.pending(context, source, url)
    assert waiting.transactional is states


def test_second_copy_of_an_index_that_reindex_left_is_removed(
    context: Context, source: Source, url: SecretStr, table: str
) -> None:
    query(url, "CREATE INDEX a_x ON a (x)")
    with killed_in(url, "REINDEX INDEX CONCURRENTLY a_x"):
        pass
    assert query(url, INDEXES) == [("a_x", True), ("a_x_ccold", False)]
    write(source, v2_b="CREATE TABLE b ()")
    migrations.apply(context, source, url)
    assert query(url, INDEXES) == [("a_x", True)]


def test_index_that_somebody_builds_just_now_is_left_alone(url: SecretStr, table: str) -> None:
    with transaction(url, "INSERT INTO a VALUES (5)"):
        builder = Background(lambda: query(url, CONCURRENTLY))
        wait_until(lambda: query(url, INDEXES) == [("a_x", False)])
        with transaction(url) as connection:
            assert obstacles.invalid(connection, ["a_x"]) == []
    builder.result()


@contextlib.contextmanager
def killed_in(url: SecretStr, statement: str) -> Iterator[Any]:
    """End the server's session in the middle of a CONCURRENTLY."""
    with transaction(url, "SELECT count(*) FROM a"):
        builder = Background(lambda: query(url, statement))
        (row,) = wait_until(
            lambda: query(
                url,
                "SELECT pid FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%'"
                " AND datname = current_database()",
            )
        )
        query(url, f"SELECT pg_terminate_backend({row[0]})")
        with pytest.raises(psycopg.OperationalError):
            builder.result()
    yield row[0]
