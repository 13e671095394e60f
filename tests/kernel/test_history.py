"""The histories of migrations and health checks."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from ops.kernel import guard, tables
from ops.kernel.errors import EffectRefused, OpsError
from ops.kernel.history import History
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
    "result": "done",
}
HEALTH = {
    "environment": "local",
    "target": "http://127.0.0.1/health",
    "name": "backend",
    "result": "healthy",
    "detail": "200 é\0",
}


def test_a_migration_of_a_run_is_recorded(state: State) -> None:
    run_id = Journal(state).begin(new_run())
    History(state).migration(run_id=run_id, seconds=1.5, **MIGRATION)
    row = state.rows(sa.select(tables.migrations))[0]
    assert (row.run_id, row.version, row.seconds) == (run_id, "0002", 1.5)
    assert abs(row.recorded - time.time()) < 60


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
