"""Maintenance that is killed in the middle of a rebuild: the next run removes what it left and ends the work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import forks
from tests.support.commands import Command
from tests.support.migrations import wait_until
from tests.support.postgres import Postgres
from tests.support.project import finish
from tests.support.roles import Site

pytestmark = pytest.mark.integration
INVALID = "select c.relname from pg_index x join pg_class c on c.oid = x.indexrelid where not x.indisvalid"
WORKER = "select pid from pg_stat_activity where application_name = 'invops maintenance'"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def db(
    server: Postgres,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    site = Site(
        tmp_path,
        server,
        server.create(),
        {"database_url": "owner"},
        Command(capsys),
        monkeypatch,
    )
    monkeypatch.setenv("OPS_HOME", str(tmp_path / "home"))
    site.write()
    site.rows("create table events (id bigint primary key) with (autovacuum_enabled = false)")
    site.rows("insert into events select generate_series(1, 100000)")
    site.rows("delete from events where id > 1000")
    site.rows("vacuum analyze events")
    return site


def start(db: Site) -> forks.Process:
    """Start the task in a process of its own."""
    return db.start("maintenance.optimize", "--yes", OPS_HOME=str(db.folder / "home"))


def test_killed_rebuild_is_cleared_away_by_the_next_run(db: Site) -> None:
    with db.connect("database_url") as old, old.transaction():
        old.execute("set transaction isolation level repeatable read")
        old.execute("select from pg_class limit 1")  # a rebuild waits for this snapshot
        running = start(db)
        assert wait_until(lambda: db.rows(INVALID)) == [("events_pkey_ccnew",)]
        running.kill()
        running.communicate()
        # The server notices by itself that nobody waits for the statement any more.
        wait_until(lambda: not db.rows(WORKER))
    assert db.rows(INVALID) == [("events_pkey_ccnew",)]

    plan = db("maintenance.optimize", "--dry-run")
    assert "1  Remove invalid copies of indexes that broken rebuilds left" in plan.out
    answer = db("maintenance.optimize", "--yes")
    assert answer.code == 0, answer.err
    assert not db.rows(INVALID)
    assert int(str(db.rows("select pg_relation_size('events_pkey')")[0][0])) < 100_000
    assert "nothing to change" in db("maintenance.optimize", "--yes").out


def test_first_interrupt_cancels_the_statement_and_leaves_nothing(db: Site) -> None:
    with db.connect("database_url") as old, old.transaction():
        old.execute("set transaction isolation level repeatable read")
        old.execute("select from pg_class limit 1")
        running = start(db)
        wait_until(lambda: db.rows(INVALID))
        running.terminate()
        assert finish(running, 30).code == 143
        assert not db.rows(WORKER)
    assert not db.rows(INVALID)


def test_server_that_stops_in_the_middle_ends_the_run_with_the_code_for_connections(
    db: Site,
) -> None:
    old = db.connect("database_url")
    old.execute("begin isolation level repeatable read")
    old.execute("select from pg_class limit 1")
    running = start(db)
    wait_until(lambda: db.rows(INVALID))
    db.server.stop("immediate")
    old.close()
    try:
        assert finish(running, 30).code == 4
    finally:
        db.server.start()
    assert db("maintenance.optimize", "--yes").code == 0
    assert not db.rows(INVALID)
