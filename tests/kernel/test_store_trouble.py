"""A state database in trouble: full, held by another writer, or left by a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from ops.kernel.errors import ConnectionFailed, OpsError
from ops.kernel.journal import Journal
from ops.kernel.store import State
from ops.kernel.store.state import open_target
from tests.support.state import Place, new_run

LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) "
    "SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(2)",
}


class Left(BaseException):
    """What a second Ctrl-C raises wherever the program is."""


@contextmanager
def signal_soon() -> Iterator[None]:
    def leave(*_: object) -> None:
        raise Left

    before = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_in_a_statement_leaves_a_usable_state(state: State) -> None:
    with pytest.raises(Left), signal_soon():
        state.rows(sa.text(LONG[state.dialect]))
    Journal(state).begin(new_run())


def test_a_signal_in_a_transaction_takes_it_back(state: State) -> None:
    journal = Journal(state)
    run_id = journal.begin(new_run())
    with pytest.raises(Left), signal_soon(), state.transaction() as connection:
        connection.execute(sa.text("UPDATE script_execution_log SET actor = 'eve'"))
        connection.execute(sa.text(LONG[state.dialect])).all()
    assert journal.get(run_id).actor == "anna@laptop"
    assert journal.heartbeat(run_id)


def test_a_writer_that_does_not_end_is_waited_for_only_so_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.kernel.store.engine.WAIT_SECONDS", 1)
    with place.open() as state:
        run_id = Journal(state).begin(new_run())
        with place.open() as other, other.transaction() as connection:
            if place.server is not None:
                connection.exec_driver_sql("SELECT 1 FROM script_execution_log FOR UPDATE")
            with pytest.raises(ConnectionFailed) as caught:
                Journal(state).heartbeat(run_id)
        assert "try again" in caught.value.hint
        assert Journal(state).heartbeat(run_id)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_full_disk_is_named_and_leaves_nothing_halfway(state: State) -> None:
    journal = Journal(state)
    journal.begin(new_run())
    state.rows(sa.text("PRAGMA max_page_count = 1"))
    with pytest.raises(OpsError, match="full") as caught:
        journal.begin(new_run(plan={"text": "x" * 1_000_000}))
    assert "df -h" in caught.value.hint
    state.rows(sa.text("PRAGMA max_page_count = 1000000"))
    assert len(journal.recent(9)) == 1


def test_a_database_opened_twice_is_one(place: Place) -> None:
    first, second = open_target(place.target), open_target(place.target)
    assert first is not None and second is not None
    with first, second:
        run_id = Journal(first).begin(new_run())
        assert Journal(second).get(run_id).state == "running"


def test_a_connection_that_was_lost_in_a_transaction_is_given_up_once(place: Place) -> None:
    with place.open() as state:
        with pytest.raises(OpsError), state.transaction() as connection:
            connection.invalidate()
            raise sa.exc.OperationalError("x", {}, Exception("gone"), connection_invalidated=True)
        assert state.version(), "the next statement has a new one"
