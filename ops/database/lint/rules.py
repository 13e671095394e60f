"""Rules for statements that touch whole tables or lock them, which squawk does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ops.database.lint import access, breaks
from ops.database.lint.model import Finding, Script
from ops.database.lint.parts import Part, parts

_HARMLESS_LOCKS: Final = {
    ("access", "share"),
    ("row", "share"),
    ("row", "exclusive"),
    ("share", "update"),
}
_OFF: Final = {"false", "off"}
_DEFINES: Final = {"alter", "create", "comment", "grant", "revoke", "merge", "drop"}

_Hit = tuple[int, str, str, str]
"""Line, rule, message and hint."""
_Rule = Callable[[Part], Iterator[_Hit]]


def findings(scripts: Sequence[Script], row_security: frozenset[str]) -> list[Finding]:
    """Apply all rules of our own.

    Args:
        scripts: Migrations, in order.
        row_security: Schemas in which each table has row level security.
    """
    found: list[Finding] = []
    known = [(script, parts(script.text)) for script in scripts]
    for script, each in known:
        for part in each:
            for rule in _RULES:
                for line, name, message, hint in rule(part):
                    found.append(Finding(script.path, line, name, "error", message, hint))
        found += breaks.findings(script, each)
    return found + access.findings(known, row_security)


def _changes_every_row(part: Part) -> Iterator[_Hit]:
    if not part.tokens or part.tokens[0].word in _DEFINES:
        return
    for at, token in enumerate(part.tokens):
        if token.word not in ("update", "delete") or not _begins(part, at):
            continue
        if not _has_where(part, at):
            verb = token.word.upper()
            message = f"{verb} without WHERE changes every row and keeps them locked until the end"
            hint = "add WHERE, and work in batches; WHERE true when every row is meant"
            yield token.line, f"{token.word}-without-where", message, hint


def _begins(part: Part, at: int) -> bool:
    """Say whether a statement begins here: first, after WITH's list, or in parentheses."""
    before = part.tokens[at - 1].text if at else ""
    return not at or before == "(" or (before == ")" and part.tokens[0].word == "with")


def _has_where(part: Part, at: int) -> bool:
    depth = 0
    for token in part.tokens[at:]:
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth < 0:
                return False
        elif token.word == "where" and depth == 0:
            return True
    return False


def _truncate(part: Part) -> Iterator[_Hit]:
    if part.starts("truncate"):
        message = "TRUNCATE removes every row under an ACCESS EXCLUSIVE lock"
        hint = "delete in batches (inv maintenance.cleanup), or rename the table away and make a new one"
        yield part.line, "truncate", message, hint


def _vacuum_full(part: Part) -> Iterator[_Hit]:
    at = part.find("full") if part.starts("vacuum") else -1
    if at > 0 and not _OFF & set(part.words(at + 1, at + 2)):
        message = (
            "VACUUM FULL writes the table anew while nobody can read it, and cannot be interrupted"
        )
        yield part.line, "vacuum-full", message, "plain VACUUM, or pg_repack: inv maintenance.optimize"


def _cluster(part: Part) -> Iterator[_Hit]:
    if part.starts("cluster"):
        message = "CLUSTER writes the table anew while nobody can read it"
        yield part.line, "cluster", message, "pg_repack --order-by does it beside the running table"


def _lock_table(part: Part) -> Iterator[_Hit]:
    if not part.starts("lock"):
        return
    mode = part.find("in")
    words = part.words(mode + 1, mode + 3) if mode > 0 else ()
    if words not in _HARMLESS_LOCKS:
        message = "LOCK TABLE keeps writers, and by default readers, out until the migration ends"
        yield part.line, "lock-table", message, "leave it to the statements: each takes the lock it needs"


def _refresh(part: Part) -> Iterator[_Hit]:
    if part.starts("refresh", "materialized", "view") and part.find("concurrently") < 0:
        message = "REFRESH MATERIALIZED VIEW keeps readers out until it is done"
        hint = "REFRESH MATERIALIZED VIEW CONCURRENTLY; the view needs a unique index"
        yield part.line, "refresh-not-concurrent", message, hint


_RULES: Final[tuple[_Rule, ...]] = (
    _changes_every_row,
    _truncate,
    _vacuum_full,
    _cluster,
    _lock_table,
    _refresh,
)
