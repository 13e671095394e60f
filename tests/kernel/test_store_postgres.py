"""What only a server has: an owner beside the application's role, and lost connections."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.kernel.audit import Audit
from ops.kernel.errors import ConnectionFailed, NotPermitted, OpsError
from ops.kernel.journal import Journal
from ops.kernel.store import State
from ops.kernel.store.engine import postgresql
from ops.kernel.store.state import open_target
from tests.support.postgres import Postgres
from tests.support.state import WRITER, Place, new_run

pytestmark = pytest.mark.integration


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Place:
    """A database on the server."""
    return Place(tmp_path, postgres, postgres.create())


def test_the_application_alone_is_enough(place: Place, postgres: Postgres) -> None:
    state = open_target(postgresql(SecretStr(postgres.url(place.name))))
    assert state is not None
    with state:
        Journal(state).begin(new_run())
        Audit(state).append("anna", "deploy", "local", "done")
        assert Audit(state).verify().ok


def test_the_tables_belong_to_the_owner(place: Place) -> None:
    place.open().close()
    owners = place.as_owner("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [("owner",)]


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
def test_the_application_has_no_right_to_change_the_audit_table(place: Place, right: str) -> None:
    place.open().close()
    rights = f"SELECT has_table_privilege('{WRITER}', 'audit_logs', '{right}')"
    assert place.as_owner(rights) == [(False,)]


def test_a_new_role_is_granted_what_it_needs(place: Place, postgres: Postgres) -> None:
    place.open().close()
    place.as_owner('DROP ROLE IF EXISTS "second writer"', 'CREATE ROLE "second writer" LOGIN')
    try:
        url, admin = postgres.url(place.name, "second%20writer"), postgres.url(place.name)
        with pytest.raises(NotPermitted) as caught:
            open_target(postgresql(SecretStr(url)))
        assert "OPS_STATE_ADMIN_URL" in caught.value.hint
        state = open_target(postgresql(SecretStr(url), SecretStr(admin)))
        assert state is not None
        with state:
            Journal(state).begin(new_run())
            Audit(state).append("anna", "deploy", "local", "done")
    finally:
        place.as_owner('DROP OWNED BY "second writer"', 'DROP ROLE "second writer"')


def test_a_role_that_may_not_create_is_told_so(place: Place, postgres: Postgres) -> None:
    with pytest.raises(NotPermitted) as caught:
        open_target(postgresql(SecretStr(postgres.url(place.name, WRITER))))
    assert "OPS_STATE_ADMIN_URL" in caught.value.hint


def test_a_lost_connection_is_an_error_once_and_then_made_again(state: State, place: Place) -> None:
    journal = Journal(state)
    run_id = journal.begin(new_run())
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    place.as_owner(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    with pytest.raises(ConnectionFailed):
        journal.get(run_id)
    assert journal.get(run_id).state == "running"


def test_a_stopped_server_does_not_answer(state: State, postgres: Postgres) -> None:
    journal = Journal(state)
    run_id = journal.begin(new_run())
    postgres.stop()
    try:
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                journal.heartbeat(run_id)
    finally:
        postgres.start()
    assert journal.heartbeat(run_id)


def test_a_value_that_the_driver_refuses_is_an_error(state: State) -> None:
    with pytest.raises(OpsError, match="NUL"):
        state.rows(sa.text("SELECT :text"), {"text": "\0"})
