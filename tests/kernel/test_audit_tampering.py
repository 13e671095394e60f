"""Tampering: the database refuses it to the application, and what its owner does is found."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

import psycopg
import pytest

from ops.kernel import records
from ops.kernel.audit import Audit, Head
from ops.kernel.store import State
from tests.support.state import Place

ROWS = 6
VALUES = "'2026-01-01T00:00:00.000000+00:00', 'eve', 'deploy', 'local', 'done', '{}', '', ''"
UNGUARD = {
    "sqlite": (
        "DROP TRIGGER audit_logs_no_update",
        "DROP TRIGGER audit_logs_no_delete",
        "DROP TRIGGER audit_logs_next",
    ),
    "postgresql": ("ALTER TABLE audit_logs DISABLE TRIGGER ALL",),
}
GUARD_AGAIN = {
    "sqlite": (),
    "postgresql": (
        "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_logs_refuse",
        "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_logs_next",
    ),
}


@pytest.fixture
def head(state: State) -> Head:
    """A chain, and its head as it was exported."""
    audit = Audit(state)
    for number in range(ROWS):
        exported = audit.append("anna", "deploy", "local", "done", {"number": number})
    return exported


def tamper(place: Place, *statements: str, cover: bool = False) -> None:
    """Change the trail as its owner; `cover` puts the triggers back as they were."""
    dialect = "postgresql" if place.server else "sqlite"
    before: tuple[str, ...] = ()
    if cover and dialect == "sqlite":
        found = place.as_owner("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        before = tuple(sql for (sql,) in found)
    after = (*before, *GUARD_AGAIN[dialect]) if cover else ()
    place.as_owner(*UNGUARD[dialect], *statements, *after)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET actor = 'eve' WHERE sequence = 3",
        "UPDATE audit_logs SET hash = hash WHERE sequence = 3",
        "DELETE FROM audit_logs WHERE sequence = 3",
        "DELETE FROM audit_logs",
        f"INSERT INTO audit_logs VALUES (3, {VALUES})",
        f"INSERT INTO audit_logs VALUES (0, {VALUES})",
        f"INSERT INTO audit_logs VALUES (9, {VALUES})",
        f"INSERT INTO audit_logs VALUES (3, {VALUES}) ON CONFLICT (sequence) DO UPDATE SET actor = 'eve'",
    ],
)
def test_the_application_is_refused(place: Place, head: Head, state: State, statement: str) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.InsufficientPrivilege)):
        place.as_application(statement)
    assert Audit(state).verify(head).ok


SQLITE_ONLY = [
    f"INSERT OR REPLACE INTO audit_logs VALUES (3, {VALUES})",
    f"REPLACE INTO audit_logs VALUES (6, {VALUES})",
    "UPDATE OR REPLACE audit_logs SET sequence = 4 WHERE sequence = 3",
    f"INSERT OR REPLACE INTO audit_logs VALUES (NULL, {VALUES})",
    "UPDATE OR IGNORE audit_logs SET actor = 'eve'",
]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", SQLITE_ONLY)
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_replacing_is_refused_with_and_without_recursive_triggers(
    place: Place, head: Head, state: State, statement: str, recursive: str
) -> None:
    with pytest.raises((sqlite3.IntegrityError, sqlite3.OperationalError)):
        place.as_application(f"PRAGMA recursive_triggers = {recursive}", statement)
    assert Audit(state).verify(head).ok


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.integration
@pytest.mark.parametrize(
    "statements",
    [
        ("TRUNCATE audit_logs",),
        ("UPDATE audit_logs SET actor = 'eve'",),
        ("DELETE FROM audit_logs",),
        ("SET session_replication_role = replica", "DELETE FROM audit_logs"),
    ],
)
def test_even_the_owner_is_refused_while_the_triggers_stand(
    place: Place, head: Head, state: State, statements: tuple[str, ...]
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        place.as_owner(*statements)
    assert Audit(state).verify(head).ok


@dataclass(frozen=True)
class Case:
    """One way to tamper: its statements, the first row that is wrong, and what verification says."""

    statements: tuple[str, ...]
    broken_at: int | None
    reason: str


CASES = {
    "edit": Case(("UPDATE audit_logs SET actor = 'eve' WHERE sequence = 3",), 3, "content"),
    "edit of the time": Case(("UPDATE audit_logs SET at = '' WHERE sequence = 1",), 1, "content"),
    "edit of details": Case(
        ("UPDATE audit_logs SET details = '{\"number\":9}' WHERE sequence = 3",), 3, "content"
    ),
    "spaces in details": Case(
        ("UPDATE audit_logs SET details = details || ' ' WHERE sequence = 3",), 3, "content"
    ),
    "details that are no JSON": Case(
        ("UPDATE audit_logs SET details = '{' WHERE sequence = 3",), 3, "content"
    ),
    "edit of the hash": Case(("UPDATE audit_logs SET hash = '' WHERE sequence = 3",), 3, "content"),
    "edit of the link": Case(
        ("UPDATE audit_logs SET previous = '' WHERE sequence = 3",), 3, "does not follow"
    ),
    "delete": Case(("DELETE FROM audit_logs WHERE sequence = 3",), 3, "missing"),
    "delete of the first": Case(("DELETE FROM audit_logs WHERE sequence = 1",), 1, "missing"),
    "delete and close the gap": Case(
        (
            "DELETE FROM audit_logs WHERE sequence = 6",
            "DELETE FROM audit_logs WHERE sequence = 3",
            "UPDATE audit_logs SET sequence = 3 WHERE sequence = 4",
            "UPDATE audit_logs SET sequence = 4 WHERE sequence = 5",
        ),
        3,
        "does not follow",
    ),
    "reorder": Case(
        (
            "UPDATE audit_logs SET sequence = 99 WHERE sequence = 3",
            "UPDATE audit_logs SET sequence = 3 WHERE sequence = 4",
            "UPDATE audit_logs SET sequence = 4 WHERE sequence = 99",
        ),
        3,
        "does not follow",
    ),
    "a row before the first": Case((f"INSERT INTO audit_logs VALUES (0, {VALUES})",), 1, "missing"),
    "a row after the last": Case(
        (f"INSERT INTO audit_logs VALUES (7, {VALUES})",), 7, "does not follow"
    ),
    "truncated tail": Case(("DELETE FROM audit_logs WHERE sequence > 4",), 5, "head is 6"),
    "everything": Case(("DELETE FROM audit_logs",), 1, "head is 6"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("cover", [False, True], ids=["triggers gone", "triggers put back"])
def test_what_the_owner_changes_is_found(
    place: Place, head: Head, state: State, case: Case, cover: bool
) -> None:
    tamper(place, *case.statements, cover=cover)
    verdict = Audit(state).verify(head)
    assert not verdict.ok
    assert verdict.broken_at == case.broken_at
    assert case.reason in verdict.reason
    assert ("trigger" in verdict.reason) != cover
    assert verdict.head.sequence == verdict.rows == (case.broken_at or 0) - 1


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_replaced_row_is_found_once_the_guard_is_gone(
    place: Place, head: Head, state: State
) -> None:
    place.as_owner(*UNGUARD["sqlite"], f"INSERT OR REPLACE INTO audit_logs VALUES (3, {VALUES})")
    verdict = Audit(state).verify(head)
    assert (verdict.ok, verdict.broken_at) == (False, 3)


def test_a_chain_computed_anew_is_found_against_the_head(
    place: Place, head: Head, state: State
) -> None:
    rows = Audit(state).rows(ROWS)[::-1]
    previous, statements = rows[2].previous, []
    for row in rows[2:]:
        values = {
            name: getattr(row, name)
            for name in ("sequence", "at", "action", "target", "result", "details")
        }
        text = records.canonical(values | {"actor": "eve", "previous": previous})
        digest = hashlib.sha256(text.encode()).hexdigest()
        statements.append(
            f"UPDATE audit_logs SET actor = 'eve', previous = '{previous}', hash = '{digest}' "
            f"WHERE sequence = {row.sequence}"
        )
        previous = digest
    tamper(place, *statements, cover=True)
    assert Audit(state).verify().ok
    verdict = Audit(state).verify(head)
    assert (verdict.ok, verdict.broken_at) == (False, ROWS)
    assert "computed anew" in verdict.reason


def test_details_that_are_no_json_can_still_be_listed(
    place: Place, head: Head, state: State
) -> None:
    tamper(place, "UPDATE audit_logs SET details = '{' WHERE sequence = 6")
    assert Audit(state).rows(1)[0].details == {"unreadable": "{"}


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_text_that_is_no_utf8_is_found(place: Place, head: Head, state: State) -> None:
    tamper(place, "UPDATE audit_logs SET actor = CAST(x'ff' AS TEXT) WHERE sequence = 2")
    assert Audit(state).verify(head).broken_at == 2


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_value_of_another_type_is_found(place: Place, head: Head, state: State) -> None:
    tamper(place, "UPDATE audit_logs SET actor = x'00', details = x'7b7d' WHERE sequence = 2")
    assert Audit(state).verify(head).broken_at == 2
