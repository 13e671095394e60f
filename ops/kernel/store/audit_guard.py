"""What makes the database refuse to change the audit table, and how to see that it still does.

SQLite: triggers, compared by their text. PostgreSQL: triggers that fire ALWAYS (also in a session
that plays the replica), compared by events, function and source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from ops.kernel.store.state import State

SQLITE = {
    "audit_logs_no_update": (
        "CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END"
    ),
    "audit_logs_no_delete": (
        "CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END"
    ),
    # Without recursive_triggers, REPLACE deletes unseen by that trigger: so the insert looks.
    "audit_logs_next": (
        "CREATE TRIGGER audit_logs_next BEFORE INSERT ON audit_logs "
        "WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit_logs) "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END"
    ),
}

_RAISE = "RAISE EXCEPTION 'audit_logs is append-only' USING ERRCODE = 'insufficient_privilege';"
_LAST = "(SELECT coalesce(max(sequence), 0) FROM audit_logs)"
_FUNCTIONS = {
    "audit_logs_refuse": f" BEGIN {_RAISE} END ",
    "audit_logs_next": (
        f" BEGIN IF NEW.sequence IS DISTINCT FROM {_LAST} + 1 THEN {_RAISE} END IF; "
        "RETURN NEW; END "
    ),
}
# Trigger: its events, and the bits of pg_trigger.tgtype for them (source: catalog/pg_trigger.h).
_EVENTS = {
    "audit_logs_refuse": (
        "UPDATE OR DELETE OR TRUNCATE ON audit_logs FOR EACH STATEMENT",
        2 + 8 + 16 + 32,
    ),
    "audit_logs_next": ("INSERT ON audit_logs FOR EACH ROW", 1 + 2 + 4),
}

_SQLITE_TABLE = sa.text("SELECT type = 'table' FROM sqlite_master WHERE name = 'audit_logs'")
_SQLITE_FOUND = sa.text(
    "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'audit_logs' COLLATE NOCASE "
    "AND type NOT IN ('table', 'index')"
)
_POSTGRESQL_FOUND = sa.text(
    "SELECT t.tgname, t.tgtype, t.tgenabled::text, t.tgqual IS NULL AND t.tgattr = '', p.proname, p.prosrc "
    "FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
    "WHERE t.tgrelid = to_regclass('audit_logs') AND NOT t.tgisinternal"
)
_POSTGRESQL_TABLE = sa.text(
    "SELECT relkind = 'r' AND NOT relhasrules AND NOT relrowsecurity FROM pg_class "
    "WHERE oid = to_regclass('audit_logs')"
)


def statements(dialect: str) -> list[str]:
    """Return the statements that put the guard on a new table."""
    if dialect == "sqlite":
        return list(SQLITE.values())
    made = [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${source}$$"
        for name, source in _FUNCTIONS.items()
    ]
    for name, (events, _) in _EVENTS.items():
        made.append(f"CREATE TRIGGER {name} BEFORE {events} EXECUTE FUNCTION {name}()")
        made.append(f"ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER {name}")
    return made


def table_fault(state: State) -> str:
    """Return what is wrong with the table itself, empty when nothing is."""
    found = state.rows(_SQLITE_TABLE if state.dialect == "sqlite" else _POSTGRESQL_TABLE)
    if not found:
        return "table audit_logs is missing"
    return "" if found[0][0] else "table audit_logs is a view, or has rules or row security"


def trigger_fault(state: State) -> str:
    """Return which trigger is missing or altered, empty when none is."""
    expected: dict[str, list[Any]]
    if state.dialect == "sqlite":
        found = {row[0]: list(row[1:]) for row in state.rows(_SQLITE_FOUND)}
        expected = {name: [sql] for name, sql in SQLITE.items()}
    else:
        found = {row[0]: list(row[1:]) for row in state.rows(_POSTGRESQL_FOUND)}
        expected = {
            name: [bits, "A", True, name, _FUNCTIONS[name]] for name, (_, bits) in _EVENTS.items()
        }
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            return f"trigger {name} is missing"
        if name not in expected:
            return f"trigger {name} is not ours"
        if found[name] != expected[name]:
            return f"trigger {name} was altered"
    return ""
