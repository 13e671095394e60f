"""`-- invops: allow <rule> <reason>` silences one rule for the statement it stands in or before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ops.database import statements
from ops.database.lint.model import Finding, Script
from ops.database.statements import Kind

_ALLOW: Final = re.compile(r"--\s*invops:\s*allow\s+(\S+)[ \t]*(.*)")


def apart(
    scripts: Sequence[Script], found: Iterable[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that stay and those that a comment allows; a comment without a reason is a finding."""
    allowed: set[tuple[str, str, int]] = set()
    unreasoned: list[Finding] = []
    for script in scripts:
        if "invops:" in script.text:
            for rule, reason, line, lines in _comments(script.text):
                if reason:
                    allowed |= {(script.path, rule, each) for each in lines}
                else:
                    unreasoned.append(_unreasoned(script, line, rule))
    stay: list[Finding] = list(unreasoned)
    silenced: list[Finding] = []
    for each in found:
        known = (each.file, each.rule, each.line) in allowed
        (silenced if known else stay).append(each)
    return sorted(stay), sorted(silenced)


def _comments(text: str) -> Iterable[tuple[str, str, int, range]]:
    """Yield rule, reason, line, and the lines that each comment speaks for."""
    pieces = statements.split(text)
    ends = [each.line + each.text.count("\n") for each in pieces]
    for token in statements.tokens(text):
        found = _ALLOW.match(token.text) if token.kind is Kind.COMMENT else None
        if found:
            # A comment behind a statement, in its last line, is about that one.
            at = next((n for n, end in enumerate(ends) if end >= token.line), None)
            if at is not None:
                lines = range(pieces[at].line, ends[at] + 1)
                yield found[1], found[2].strip(), token.line, lines


def _unreasoned(script: Script, line: int, rule: str) -> Finding:
    message = f"allows {rule} without a reason, so it does not count"
    hint = f"-- invops: allow {rule} <why it is safe here>"
    return Finding(script.path, line, "allow-without-reason", "warning", message, hint)
