"""The histories of migrations and health checks."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from ops.kernel import guard, tables
from ops.kernel.errors import EffectRefused, OpsError
from ops.kernel.history import History, LastMigration
from ops.kernel.journal import Journal
from ops.kernel.store import State
from tests.support.state import new_run

MIGRATION = {
    "environment": "local",
    "target": "shop_local on 127.0.0.1",
    "actor": "anna@laptop",
    "version": "0002",
    "name": "orders",
    "checksum": "ab" * 32,
    "commit": "cd" * 20,
}
HEALTH = {
    "environment": "local",
    "target": "http://127.0.0.1/health",
    "name": "backend",
    "result": "healthy",
    "detail": "200 é\0",
}


def test_a_migration_of_a_run_is_running_until_it_has_ended(state: State) -> None:
    run_id = Journal(state).begin(new_run())
    history = History(state)
    record = history.migration_begun(run_id=run_id, **MIGRATION)
    (row,) = state.rows(sa.select(tables.migrations))
    assert (row.run_id, row.version, row.commit_id) == (run_id, "0002", "cd" * 20)
    assert (row.result, row.finished) == ("running", None)
    assert abs(row.recorded - time.time()) < 60
    history.migration_ended(record, "done")
    (row,) = state.rows(sa.select(tables.migrations))
    assert row.result == "done"
    assert row.seconds == pytest.approx(row.finished - row.recorded, abs=0.1)


def test_the_last_record_of_a_migration_counts(state: State) -> None:
    history = History(state)
    first = history.migration_begun(run_id=None, **MIGRATION)
    history.migration_ended(first, "failed")
    assert history.migrations("local", MIGRATION["target"])["0002"].result == "failed"
    history.migration_begun(run_id=None, **MIGRATION)
    last = {"0002": LastMigration("running", "", None)}
    assert history.migrations("local", MIGRATION["target"]) == last
    assert history.migrations("local", "another database") == {}


def test_a_health_check_outside_of_a_run_is_recorded(state: State) -> None:
    History(state).health(run_id=None, seconds=0.01, **HEALTH)
    row = state.rows(sa.select(tables.health))[0]
    assert (row.run_id, row.result, row.detail) == (None, "healthy", "200 é\\x00")


def test_a_run_that_does_not_exist_is_refused(state: State) -> None:
    with pytest.raises(OpsError):
        History(state).health(run_id="nothing", seconds=0.01, **HEALTH)
    assert state.rows(sa.select(tables.health)) == []


def test_nothing_is_recorded_in_a_dry_run(state: State) -> None:
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused):
        History(state).health(run_id=None, seconds=0.01, **HEALTH)
