"""The guard of the audit table: whoever weakens it is found, and no record is lost in silence."""

from __future__ import annotations

import pytest

from ops.kernel.audit import Audit, Head
from ops.kernel.errors import OpsError
from ops.kernel.store import State
from tests.support.state import Place

ROWS = 3


@pytest.fixture
def head(state: State) -> Head:
    """A chain, and its head as it was exported."""
    for _ in range(ROWS):
        exported = Audit(state).append("anna", "deploy", "local", "done")
    return exported


WEAKENED = {
    "sqlite": {
        "dropped": ("DROP TRIGGER audit_logs_no_update",),
        "altered": (
            "DROP TRIGGER audit_logs_no_update",
            "CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs WHEN 0 "
            "BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END",
        ),
        "one more": (
            "CREATE TRIGGER swallow BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(IGNORE); END",
        ),
    },
    "postgresql": {
        "dropped": ("DROP TRIGGER audit_logs_refuse ON audit_logs",),
        "disabled": ("ALTER TABLE audit_logs DISABLE TRIGGER audit_logs_next",),
        "altered": (
            "CREATE OR REPLACE FUNCTION audit_logs_refuse() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'",
        ),
        "fewer events": (
            "DROP TRIGGER audit_logs_refuse ON audit_logs",
            "CREATE TRIGGER audit_logs_refuse BEFORE DELETE ON audit_logs "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()",
            "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_logs_refuse",
        ),
        "a rule": ("CREATE RULE swallow AS ON INSERT TO audit_logs DO INSTEAD NOTHING",),
        "row security": ("ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY",),
    },
}


@pytest.mark.parametrize("how", ["dropped", "altered", "one more"])
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_weakened_guard_of_sqlite_is_found(
    place: Place, head: Head, state: State, how: str
) -> None:
    place.as_owner(*WEAKENED["sqlite"][how])
    verdict = Audit(state).verify(head)
    assert (verdict.ok, verdict.broken_at, verdict.rows) == (False, None, ROWS)
    assert "trigger" in verdict.reason


@pytest.mark.integration
@pytest.mark.parametrize("how", list(WEAKENED["postgresql"]))
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_weakened_guard_of_postgresql_is_found(
    place: Place, head: Head, state: State, how: str
) -> None:
    place.as_owner(*WEAKENED["postgresql"][how])
    verdict = Audit(state).verify(head)
    assert (verdict.ok, verdict.broken_at) == (False, None)
    assert verdict.reason


SWALLOW = {
    "sqlite": WEAKENED["sqlite"]["one more"],
    "postgresql": WEAKENED["postgresql"]["a rule"],
}


def test_a_record_that_is_swallowed_is_an_error(place: Place, head: Head, state: State) -> None:
    place.as_owner(*SWALLOW[state.dialect])
    with pytest.raises(OpsError, match="did not take"):
        Audit(state).append("anna", "deploy", "local", "done")


def test_a_missing_table_is_found(place: Place, head: Head, state: State) -> None:
    place.as_owner("DROP TABLE audit_logs")
    assert "missing" in Audit(state).verify(head).reason
