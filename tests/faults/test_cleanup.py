"""A clean-up that is killed, or whose server goes away, leaves whole batches; the next run goes on by itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel import exits
from tests.support import forks, roles
from tests.support.commands import Command
from tests.support.local import eventually
from tests.support.postgres import Postgres
from tests.support.retention import Retention
from tests.support.roles import Site

OLD, YOUNG, BATCH = 4000, 30, 7


@pytest.fixture
def server() -> Iterator[Postgres]:
    with roles.server() as running:
        yield running


@pytest.fixture
def db(
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Retention:
    users = {"database_url": "owner"}
    made = Retention(Site(tmp_path, server, server.create(), users, Command(capsys), monkeypatch))
    made.begin()
    made.rule(batch=BATCH)
    made.fill(OLD, YOUNG)
    return made


def halfway(db: Retention) -> forks.Process:
    """Start a clean-up and return once some batches are through."""
    process = db.site.start("maintenance.cleanup", "--yes")
    assert eventually(lambda: db.count() < OLD + YOUNG - 5 * BATCH, 30), process.communicate()
    return process


def alone(db: Retention) -> bool:
    query = "select count(*) from pg_stat_activity where application_name = 'invops cleanup'"
    return db.site.rows(query) == [(0,)]


def test_kill_9_leaves_whole_batches_and_the_next_run_goes_on(db: Retention) -> None:
    process = halfway(db)
    process.kill()
    process.communicate()
    assert eventually(lambda: alone(db))
    left = db.count() - YOUNG
    assert 0 < left < OLD
    assert (OLD - left) % BATCH == 0
    again = db.run()
    assert (again.code, db.count()) == (0, YOUNG), again.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_batch(db: Retention, number: signal.Signals) -> None:
    process = halfway(db)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert (OLD + YOUNG - db.count()) % BATCH == 0
    assert db.run().code == 0
    assert db.count() == YOUNG


def test_a_server_that_stops_in_the_middle_is_exit_4_and_the_next_run_goes_on(
    db: Retention,
) -> None:
    process = halfway(db)
    db.site.server.stop("immediate")
    _, err = process.communicate(timeout=60)
    assert process.returncode == exits.CONNECTION, err
    assert "rows were deleted before" in err
    db.site.server.start()
    assert db.run().code == 0
    assert db.count() == YOUNG
