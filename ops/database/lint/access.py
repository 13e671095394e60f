"""Rules about who may read and write: grants and policies for everybody, tables without row level security."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ops.database.lint.model import Finding, Script, Severity
from ops.database.lint.parts import Part, parts, plain

_EVERYBODY: Final = {"anon", "public"}
"""Roles that every visitor has: Supabase's `anon` and PostgreSQL's PUBLIC."""
_CHANGES: Final = {"all", "create", "delete", "insert", "truncate", "update"}
_SECURE: Final = ("row", "level", "security")


def secured_schemas(scripts: Sequence[Script]) -> frozenset[str]:
    """Return the schemas where a table has row level security or a policy."""
    found = set()
    for script in scripts:
        text = script.text.lower()
        if "security" in text or "policy" in text:  # most have neither, and reading them takes time
            for part in parts(script.text):
                if name := _secured(part) or _policy_of(part):
                    found.add(_schema(name))
    return frozenset(found)


def findings(
    known: Sequence[tuple[Script, Sequence[Part]]], row_security: frozenset[str]
) -> list[Finding]:
    """Look at the migrations together: a later one may secure the table of an earlier one.

    Args:
        known: The migrations with what runs in them.
        row_security: Schemas in which each table has row level security.
    """
    secured = {_full(name) for _, found in known for part in found if (name := _secured(part))}
    every: list[Finding] = []
    for script, found in known:
        for part in found:
            every += _grant(script, part)
            every += _policy(script, part)
            name = _created(part)
            if name and _schema(name) in row_security and _full(name) not in secured:
                message = f"table {name} has no row level security, others of its schema have"
                hint = f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, and policies for who may see what"
                rule = "no-row-level-security"
                every.append(Finding(script.path, part.line, rule, "error", message, hint))
    return every


def _grant(script: Script, part: Part) -> Iterator[Finding]:
    at = part.find("grant")
    if at != 0 and not (at > 0 and part.starts("alter", "default", "privileges")):
        return
    to = part.find("to", start=at)
    roles = {plain(each) for each in part.tokens[to + 1 :]} & _EVERYBODY if to > 0 else set()
    on = part.find("on", start=at)
    if not roles or on < 0:
        return
    rights = {each.word for each in part.tokens[at + 1 : on]} - {""}
    role = " and ".join(sorted(roles))
    severity: Severity = "error" if rights & _CHANGES else "warning"
    message = f"gives {' '.join(sorted(rights)).upper()} to {role}: everybody who connects has it"
    hint = "grant it to the role of the application"
    yield Finding(script.path, part.line, "grant-to-everybody", severity, message, hint)


def _policy(script: Script, part: Part) -> Iterator[Finding]:
    if not _policy_of(part):
        return
    clauses = [at for word in ("using", "check") if (at := part.find(word)) > 0]
    to = part.find("to")
    named = 0 < to < min(clauses, default=0)
    if named:
        roles = {plain(each) for each in part.tokens[to + 1 : min(clauses)]}
    else:
        roles = {"public"} if part.starts("create") else set()
    if roles & _EVERYBODY and any(_is_true(part, at + 1) for at in clauses):
        reads = part.find("for", "select") > 0
        severity: Severity = "warning" if reads else "error"
        message = f"the policy lets everybody {'read' if reads else 'change'} every row"
        hint = "name a role (TO authenticated) and compare a column: USING (owner = auth.uid())"
        yield Finding(script.path, part.line, "policy-for-everybody", severity, message, hint)


def _is_true(part: Part, start: int) -> bool:
    """Say whether the expression in parentheses that begins there is nothing but TRUE."""
    depth, words = 0, []
    for token in part.tokens[start:]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            break
        words += [] if token.text in ("(", ")") else [token.word]
    return words == ["true"]


def _policy_of(part: Part) -> str:
    """Return the table of a policy that is made or changed."""
    if part.words(1, 2) != ("policy",) or not (part.starts("create") or part.starts("alter")):
        return ""
    return part.name(part.find("on") + 1)


def _secured(part: Part) -> str:
    """Return the table that gets row level security."""
    if part.starts("alter", "table") and part.find("enable", *_SECURE) > 0:
        return part.name(part.after(part.after(2, "if", "exists"), "only"))
    return ""


def _created(part: Part) -> str:
    """Return the table that is made to stay."""
    at = 2 if part.starts("create", "unlogged") else 1
    if part.starts("create") and part.words(at, at + 1) == ("table",):
        return part.name(part.after(at + 1, "if", "not", "exists"))
    return ""


def _full(name: str) -> str:
    return name if "." in name else f"public.{name}"


def _schema(name: str) -> str:
    return _full(name).partition(".")[0]
