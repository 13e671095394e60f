"""The sample's worker on a real database: each job exactly once, whatever ends."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import psycopg
import pytest

from tests.examples.shop import Shop, wait_until
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[Any]
ITEMS = ("latte", "tea", "roll")
WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'shop-worker' AND wait_event_type = 'Lock'
"""


def number(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row
    value: int = row[0]
    return value


def place(connection: Connection, orders: int) -> None:
    """Store orders with their jobs, 1 to 5 of each of three items."""
    for each in range(orders):
        row = connection.execute(
            "INSERT INTO orders (item, quantity) VALUES (%s, %s) RETURNING id",
            (ITEMS[each % len(ITEMS)], each % 5 + 1),
        ).fetchone()
        connection.execute("INSERT INTO jobs (order_id) VALUES (%s)", row)


def all_done(connection: Connection) -> bool:
    return number(connection, "SELECT count(*) FROM jobs WHERE done_at IS NULL") == 0


def assert_booked_once(connection: Connection) -> None:
    """Fail when a job was booked twice or not at all."""
    ordered = connection.execute("SELECT item, sum(quantity) FROM orders GROUP BY item").fetchall()
    booked = connection.execute("SELECT item, sold FROM sales WHERE sold > 0").fetchall()
    assert sorted(booked) == sorted(ordered)


def test_two_workers_share_the_jobs_and_one_killed_loses_none(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    url = server.url(migrated)
    with server.connect(migrated) as connection, server.connect(migrated) as holder:
        place(connection, 800)
        holder.autocommit = False
        holder.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with shop.worker(url) as first, shop.worker(url) as second:
            wait_until(lambda: number(connection, WAITING) == 2, "both workers wait")
            holder.rollback()
            wait_until(lambda: len(first.logged("job done")) >= 20, "the first worker works")
            assert first.end(signal.SIGKILL) == -signal.SIGKILL
            assert not all_done(connection)
            wait_until(lambda: all_done(connection), "all jobs are done")
            assert second.end() == 0
            done = [event["job"] for event in first.logged("job done") + second.logged("job done")]
        assert len(done) == len(set(done))
        assert len(done) in (799, 800)  # killed between the commit and the line
        assert_booked_once(connection)


def test_job_of_a_worker_killed_in_its_middle_is_done_by_another(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    url = server.url(migrated)
    with server.connect(migrated) as connection, server.connect(migrated) as holder:
        connection.execute("INSERT INTO sales (item, sold) VALUES ('latte', 0)")
        place(connection, 1)
        holder.autocommit = False
        holder.execute("SELECT * FROM sales FOR UPDATE")
        with shop.worker(url) as killed:
            wait_until(lambda: number(connection, WAITING) == 1, "the job is in hand")
            killed.end(signal.SIGKILL)
        with shop.worker(url) as other:
            holder.rollback()
            wait_until(lambda: all_done(connection), "the job is done")
            assert other.end() == 0
            assert len(other.logged("job done")) == 1
        assert_booked_once(connection)


def test_stopped_worker_finishes_the_job_in_hand_and_takes_no_other(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    with server.connect(migrated) as connection, server.connect(migrated) as holder:
        connection.execute("INSERT INTO sales (item, sold) VALUES ('latte', 0)")
        place(connection, 3)
        holder.autocommit = False
        holder.execute("SELECT * FROM sales FOR UPDATE")
        with shop.worker(server.url(migrated)) as worker:
            wait_until(lambda: number(connection, WAITING) == 1, "the job is in hand")
            worker.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                worker.process.wait(0.5)
            holder.rollback()
            assert worker.process.wait(5) == 0
            assert len(worker.logged("job done")) == 1
            assert worker.logged("stopped")
        assert number(connection, "SELECT count(*) FROM jobs WHERE done_at IS NULL") == 2


def test_worker_survives_lost_connections_and_a_restart_of_the_database(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    with shop.worker(server.url(migrated)) as worker:
        with server.connect(migrated) as connection:
            place(connection, 1)
            wait_until(lambda: all_done(connection), "the first job is done")
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            connection.execute(f"{kill} 'shop-worker'".encode())
            place(connection, 1)
            wait_until(lambda: all_done(connection), "the second job is done")
        server.stop()
        try:
            wait_until(lambda: worker.logged("database failed"), "the worker says so")
        finally:
            server.start()
        with server.connect(migrated) as connection:
            place(connection, 1)
            wait_until(lambda: all_done(connection), "the third job is done")
            assert_booked_once(connection)
        assert worker.end() == 0


def test_worker_counts_as_alive_only_while_it_gets_through_to_its_jobs(
    server: Postgres, shop: Shop, empty: str
) -> None:
    shop.alive.unlink(missing_ok=True)
    with shop.worker(server.url(empty)) as worker:
        wait_until(lambda: worker.logged("database failed"), "the worker says so")
        assert not shop.alive.exists()
        assert shop.alembic(server.url(empty), "upgrade", "head").returncode == 0
        with server.connect(empty) as connection:
            place(connection, 1)
            wait_until(lambda: all_done(connection), "the job is done")
        wait_until(shop.alive.exists, "the worker is alive")
        before = shop.alive.stat().st_mtime_ns
        wait_until(lambda: shop.alive.stat().st_mtime_ns > before, "it stays alive")
        assert worker.end() == 0
