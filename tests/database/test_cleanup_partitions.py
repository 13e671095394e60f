"""Partitions that lie wholly before the limit are dropped, and only where that is the same as deleting their rows."""

from __future__ import annotations

import psycopg
import pytest

from ops.database import cleanup_partitions
from ops.kernel import exits
from tests.support.retention import Retention

# Three months of 30 days each before today, today's, in which the limit of 30 days lies, and the next.
MONTHS = """
do $$ begin
  for each in 0..4 loop
    execute format('create table logs_%s partition of logs for values from (%L) to (%L)', each,
      now()::{kind} - interval '95 days' + each * interval '30 days',
      now()::{kind} - interval '65 days' + each * interval '30 days');
  end loop;
end $$"""


@pytest.fixture
def db(db: Retention) -> Retention:
    db.rule("logs", table="logs")
    return db


def partitioned(db: Retention, kind: str = "timestamptz", more: str = "") -> None:
    """Make a table of five months with a row for each day of the last 90."""
    db.site.rows(f"create table logs (at {kind} {more}) partition by range (at)")
    db.site.rows(MONTHS.format(kind=kind))
    fill(db)


def fill(db: Retention) -> None:
    db.site.rows(
        "insert into logs (at) select now() - each * interval '1 day' from generate_series(1, 90) each"
    )


def partitions(db: Retention) -> list[str]:
    rows = db.site.rows(
        "select relname from pg_class where relname ~ '^logs_' and relkind in ('r', 'p') order by 1"
    )
    return [str(row[0]) for row in rows]


def young(db: Retention) -> bool:
    """Say whether exactly the rows of the last 30 days are there."""
    return db.site.rows("select count(*), bool_and(at > now() - interval '31 days') from logs") in (
        [(29, True)],
        [(30, True)],
    )


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_whole_partitions_are_dropped_and_named_in_the_plan(db: Retention, kind: str) -> None:
    partitioned(db, kind)
    answer = db.run()
    assert answer.code == 0, answer.err
    for number in (0, 1):
        assert f'drop partition "public"."logs_{number}"' in answer.out
    assert "2 partitions dropped as a whole" in answer.out
    assert partitions(db) == ["logs_2", "logs_3", "logs_4"]
    assert young(db)
    assert "nothing to change" in db.run().out


def test_beside_a_default_partition_too(db: Retention) -> None:
    partitioned(db)
    db.site.rows("create table logs_rest partition of logs default")
    db.site.rows("insert into logs values (now() - interval '1000 days')")
    answer = db.run()
    assert answer.code == 0, answer.err
    assert partitions(db) == ["logs_2", "logs_3", "logs_4", "logs_rest"]
    assert db.count("logs_rest") == 0


def test_a_partition_with_partitions_of_its_own_goes_with_them(db: Retention) -> None:
    partitioned(db)
    db.site.rows("drop table logs_0")
    db.site.rows(
        "create table logs_0 partition of logs for values from ('2000-01-01') to ('2001-01-01')"
        " partition by range (at)"
    )
    db.site.rows("create table logs_00 partition of logs_0 default")
    assert db.run().code == 0
    assert partitions(db) == ["logs_2", "logs_3", "logs_4"]


KEPT = {
    "a foreign key": "create table refs (at timestamptz references logs on delete cascade)",
    "a trigger": "create trigger seen before delete on logs for each row execute function seen()",
}


@pytest.mark.parametrize("case", KEPT)
def test_where_deletions_have_consequences_rows_are_deleted_instead(
    db: Retention, case: str
) -> None:
    partitioned(db, more="primary key")
    db.site.rows("create table losses (at timestamptz)")
    db.site.rows(
        "create function seen() returns trigger language plpgsql as"
        " 'begin insert into losses values (old.at); return old; end'"
    )
    db.site.rows(KEPT[case])
    assert db.run().code == 0
    assert len(partitions(db)) == 5
    assert young(db)
    assert db.count("losses") in ((60, 61) if case == "a trigger" else (0,))


def test_partitions_by_another_column_are_emptied_row_by_row(db: Retention) -> None:
    db.site.rows("create table logs (id int, at timestamptz) partition by hash (id)")
    for number in (0, 1):
        db.site.rows(
            f"create table logs_{number} partition of logs for values with (modulus 2, remainder {number})"
        )
    db.site.rows(
        "insert into logs select each, now() - each * interval '1 day' from generate_series(1, 90) each"
    )
    assert db.run().code == 0
    assert (len(partitions(db)), young(db)) == (2, True)


def test_a_run_killed_between_detach_and_drop_is_brought_to_its_end(
    db: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitioned(db)
    with db.subject("logs") as (connection, subject):
        mark = cleanup_partitions._mark(subject)
        connection.execute(
            f"comment on table logs_0 is '{mark.replace(chr(39), chr(39) * 2)}'".encode()
        )
        connection.execute(b"alter table logs detach partition logs_0 concurrently")
    assert db.run().code == 0
    assert partitions(db) == ["logs_2", "logs_3", "logs_4"]


def test_a_detached_partition_with_a_young_row_is_not_dropped(db: Retention) -> None:
    partitioned(db)
    with db.subject("logs") as (connection, subject):
        mark = cleanup_partitions._mark(subject)
        connection.execute(f"comment on table logs_0 is '{mark}'".encode())
        connection.execute(b"alter table logs detach partition logs_0")
        connection.execute(b"insert into logs_0 values (now())")
    answer = db.run()
    assert (answer.code, "has rows that are too young" in answer.err) == (exits.GENERAL, True)
    assert "logs_0" in partitions(db)


def test_a_detach_that_was_cut_off_is_finished(
    db: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitioned(db)
    with psycopg.connect(db.site.server.url(db.site.name)) as reader:
        reader.execute("select from logs")
        with db.site.server.connect(db.site.name) as connection:
            connection.execute("set lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute("alter table logs detach partition logs_0 concurrently")
    pending = db.site.rows("select count(*) from pg_inherits where inhdetachpending")
    assert pending == [(1,)]
    assert db.run().code == 0
    assert partitions(db) == ["logs_2", "logs_3", "logs_4"]
