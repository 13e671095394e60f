"""What a statement did, from one look at the server before it and one after it."""

from __future__ import annotations

from typing import Final

from ops.database.lint.model import Finding, LockedTable, Script
from ops.database.lint.parts import Part
from ops.database.lint.seen import MODES, Look
from ops.database.statements import Statement

_TABLES: Final = frozenset("rpmfv")
_ROW_EXCLUSIVE: Final = MODES.index("ROW EXCLUSIVE")
_SHARE: Final = MODES.index("SHARE")
# Rules of our own and of squawk say more about these.
_NAMED: Final = {"truncate", "refresh", "cluster", "reindex", "vacuum", "create"}
_REWRITE: Final = (
    "add a column, fill it in batches, switch the code, drop the old one in a later release"
)
_SCAN: Final = "add the constraint NOT VALID, and VALIDATE it in a migration of its own"

_Seen = tuple[list[LockedTable], list[Finding]]


def of(script: Script, statement: Statement, first: Look, before: Look, after: Look) -> _Seen:
    """Compare two looks.

    Args:
        script: The migration.
        statement: What ran between the looks.
        first: At the begin of the transaction: only tables that others see count.
        before: Before the statement.
        after: After it, in the same transaction.
    """
    locks, findings = [], []
    for oid in after.modes:
        relation = first.relations.get(oid)
        if relation is None or relation.kind not in _TABLES:
            continue
        was, now = before.relations.get(oid), after.relations.get(oid)
        held = after.modes.get(oid, 0)
        taken = held if held > before.modes.get(oid, 0) and held >= _ROW_EXCLUSIVE else 0
        scanned = bool(was and now and now.scans > was.scans)
        rows = now.rows - was.rows if was and now else 0
        rewrites = _rewrites(oid, first, before, after)
        if taken or rewrites or rows or (scanned and held >= _SHARE):
            mode = MODES[taken] if taken else ""
            seen = LockedTable(
                script.path, statement.line, relation.name, mode, rewrites, scanned, rows
            )
            locks.append(seen)
            findings += _findings(seen, statement, held)
    return locks, findings


def documented(script: Script, statement: Statement, before: Look, after: Look) -> _Seen:
    """Return what is known of a statement that ran without a transaction (PostgreSQL manual, 13.3.1)."""
    part = Part(statement.tokens, statement.line)
    whole = part.starts("cluster") or (part.starts("vacuum") and part.find("full") > 0)
    mode = "ACCESS EXCLUSIVE" if whole else "SHARE UPDATE EXCLUSIVE"
    names = {part.name(at) for at in range(len(part.tokens))}
    found = {}
    for oid, relation in before.relations.items():
        if relation.name in names or relation.name.removeprefix("public.") in names:
            owner = relation.table or oid
            found[owner] = before.relations[owner].name
    return [
        LockedTable(
            script.path, statement.line, name, mode, _rewrites(oid, before, before, after), False, 0
        )
        for oid, name in found.items()
    ], []


def _rewrites(oid: int, first: Look, before: Look, after: Look) -> tuple[str, ...]:
    """Return the table and its indexes that have another file now; a rebuilt index may have another oid as well."""
    by_name = {each.name: each for each in after.relations.values()}
    found = []
    for number, each in first.relations.items():
        if oid in (number, each.table) and number in before.relations:
            now = after.relations.get(number) or by_name.get(each.name)
            if now is not None and now.file != before.relations[number].file:
                found.append(each.name)
    return tuple(sorted(found, key=lambda name: (name != first.relations[oid].name, name)))


def _findings(seen: LockedTable, statement: Statement, held: int) -> list[Finding]:
    word = statement.tokens[0].word
    if word in _NAMED or held < _SHARE:
        return []
    if seen.rewrites:
        what = seen.table if seen.table in seen.rewrites else ", ".join(seen.rewrites)
        message = f"writes {what} anew; {seen.table} is locked {MODES[held]} until it is done"
        return [Finding(seen.file, seen.line, "table-rewrite", "error", message, _REWRITE)]
    if seen.scanned and word == "alter":
        message = f"reads all of {seen.table} while it is locked {MODES[held]}"
        return [Finding(seen.file, seen.line, "scan-under-lock", "error", message, _SCAN)]
    return []
