"""Batches of the clean-up: exact to the microsecond, past locked rows, never a young row whatever the data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.database import cleanup_batches
from tests.support.retention import Retention

LIMIT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Los_Angeles"])
@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_the_boundary_is_exact_to_the_microsecond(
    db: Retention, kind: str, indexed: bool, zone: str
) -> None:
    db.site.rows(f"alter database {db.site.name} set timezone = '{zone}'")
    db.site.rows(f"alter database {db.site.name} set datestyle = 'SQL, DMY'")
    db.site.rows(f"create table edges (at {kind})")
    for micros in (-(10**6), -1, 0, 1, 10**6):
        moment = LIMIT + timedelta(microseconds=micros)
        text = moment.isoformat() if kind == "timestamptz" else moment.isoformat()[:26].rstrip("+")
        db.site.rows(f"insert into edges values ('{text}')")
    assert db.delete(LIMIT, table="edges", indexed=indexed) == 2
    assert db.count("edges") == 3


def test_a_date_goes_when_its_whole_day_is_before_the_limit(db: Retention) -> None:
    db.site.rows("create table days (at date)")
    db.site.rows(
        "insert into days values ('2026-03-27'), ('2026-03-28'), ('2026-03-29'), ('2026-03-30')"
    )
    assert db.delete(LIMIT, table="days", indexed=True) == 2


@pytest.mark.parametrize("indexed", [True, False])
def test_rows_that_somebody_has_locked_are_skipped_and_not_waited_for(
    db: Retention, indexed: bool
) -> None:
    db.fill(old=40, young=5)
    now = datetime.now(UTC) - timedelta(days=30)
    with psycopg.connect(db.site.server.url(db.site.name)) as other:
        other.execute("select from events where id % 8 = 0 and id <= 40 for update")
        assert db.delete(now, indexed=indexed, size=4) == 35
    assert db.count() == 10
    assert db.delete(now, indexed=indexed, size=4) == 5
    assert db.count() == 5


@pytest.mark.parametrize("indexed", [True, False])
def test_writers_are_not_blocked_between_batches(db: Retention, indexed: bool) -> None:
    db.fill(old=30, young=3)
    with db.subject() as (connection, subject):
        limit = (datetime.now(UTC) - timedelta(days=30)).isoformat()
        (leaf,) = subject.leaves
        running = cleanup_batches.delete(
            connection, subject, replace(leaf, indexed=indexed), limit, lambda: 4
        )
        with psycopg.connect(db.site.server.url(db.site.name), autocommit=True) as other:
            other.execute("set lock_timeout = '1ms'")
            for _ in running:
                other.execute("update events set note = 'seen'")
                other.execute("insert into events (at) values (now())")
    assert db.site.rows("select count(*) from events where at < now() - interval '30 days'") == [
        (0,)
    ]


@pytest.mark.parametrize("indexed", [True, False])
def test_a_trigger_that_keeps_rows_does_not_keep_the_run_going(
    db: Retention, indexed: bool
) -> None:
    db.site.rows(
        "create function keep() returns trigger language plpgsql as 'begin return null; end'"
    )
    db.site.rows("create trigger keep before delete on events for each row execute function keep()")
    db.fill(old=20, young=0)
    assert db.delete(datetime.now(UTC), indexed=indexed, size=4) == 0
    assert db.count() == 20


MOMENTS = st.one_of(
    st.integers(-5, 5).map(lambda micros: LIMIT + timedelta(microseconds=micros)),
    st.datetimes(
        datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone(timedelta(hours=5)))
    ),
    st.none(),
)


@pytest.mark.parametrize("indexed", [True, False])
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moments=st.lists(MOMENTS, max_size=30), size=st.integers(1, 12))
def test_exactly_the_rows_before_the_limit_go(
    db: Retention, indexed: bool, moments: list[datetime | None], size: int
) -> None:
    with db.site.server.connect(db.site.name) as connection:
        connection.execute("truncate events restart identity")
        for each in moments:
            connection.execute("insert into events (at) values (%s)", [each])
    old = sum(each is not None and each < LIMIT for each in moments)
    assert db.delete(LIMIT, indexed=indexed, size=size) == old
    assert db.count() == len(moments) - old
    assert db.site.rows(f"select count(*) from events where at < '{LIMIT.isoformat()}'") == [(0,)]
