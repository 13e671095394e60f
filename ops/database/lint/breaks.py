"""DROP and RENAME in a migration that does not declare that the release before it stops working."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ops.database.lint.model import Finding, Script
from ops.database.lint.parts import Part

# What queries name. Indexes, policies, triggers, constraints and rules are not: code works without them.
_KINDS: Final = {
    "domain",
    "function",
    "procedure",
    "schema",
    "sequence",
    "table",
    "type",
    "view",
}
# Dropped to be made anew in the same migration is no loss for these; a table's rows are gone.
_REMADE: Final = {"domain", "function", "procedure", "type", "view"}
_UNDECLARED: Final = "drop it when no release uses it any more, or declare: -- invops: breaks-old"


@dataclass(frozen=True)
class _Loss:
    line: int
    what: str  # as it is written: "DROP TABLE orders"
    kind: str
    name: str


def findings(script: Script, found: Sequence[Part]) -> Iterator[Finding]:
    """Yield what contradicts the declaration; a declared drop is a warning, what it held is gone."""
    all_made = {made for part in found if (made := _made(part))}
    before: set[tuple[str, str]] = set()
    for part in found:
        if made := _made(part):
            before.add(made)
        for each in _lost(part):
            known = (each.kind, each.name)
            if known in before or (each.kind in _REMADE and known in all_made):
                continue
            yield from _finding(script, each)


def _finding(script: Script, loss: _Loss) -> Iterator[Finding]:
    if not script.breaks_old:
        message = f"{loss.what}: the release before may use it, and nothing declares that it breaks"
        yield Finding(script.path, loss.line, "undeclared-break", "error", message, _UNDECLARED)
    elif loss.what.startswith("DROP"):
        message = f"{loss.what} cannot be taken back"
        yield Finding(
            script.path, loss.line, "drop", "warning", message, "only a backup has it then"
        )


def _made(part: Part) -> tuple[str, str] | None:
    if not part.starts("create"):
        return None
    at = next((n for n in range(1, 6) if set(part.words(n, n + 1)) & _KINDS), 0)
    kind = "".join(part.words(at, at + 1))
    return (kind, _last(part.name(part.after(at + 1, "if", "not", "exists")))) if at else None


def _lost(part: Part) -> Iterator[_Loss]:
    # DROP MATERIALIZED VIEW, ALTER FOREIGN TABLE: the kind is one word later.
    at = 2 if part.words(1, 2) in (("materialized",), ("foreign",)) else 1
    kind = "".join(part.words(at, at + 1))
    if kind not in _KINDS:
        return
    named = part.after(part.after(at + 1, "if", "exists"), "only")
    name = part.name(named)
    if part.starts("drop"):
        yield _Loss(part.line, f"DROP {kind.upper()} {name}", kind, _last(name))
    elif part.starts("alter"):
        for action in _actions(part, named):
            if what := _action(action):
                line = action.line
                yield _Loss(line, f"{what} of {kind} {name}", kind, _last(name))


def _actions(part: Part, start: int) -> Iterator[Part]:
    """Yield the actions of an ALTER: what commas outside of parentheses separate."""
    first = start + 2 * part.name(start).count(".") + 1
    depth = 0
    for at, token in enumerate(part.tokens[first:], first):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            yield Part(part.tokens[first:at], part.tokens[first].line)
            first = at + 1
    if first < len(part.tokens):
        yield Part(part.tokens[first:], part.tokens[first].line)


def _action(action: Part) -> str:
    if action.starts("drop") and not action.starts("drop", "constraint"):
        at = action.after(action.after(1, "column"), "if", "exists")
        return f"DROP COLUMN {action.name(at)}" if action.name(at) else ""
    if action.starts("rename", "to"):
        return "RENAME"
    if action.starts("rename") and not action.starts("rename", "constraint"):
        at = 2 if action.words(1, 2) in (("column",), ("attribute",), ("value",)) else 1
        return f"RENAME of {action.name(at) or action.tokens[at].text}"
    return "SET SCHEMA" if action.starts("set", "schema") else ""


def _last(name: str) -> str:
    return name.rpartition(".")[2]
