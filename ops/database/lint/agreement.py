"""What the rules guess and what the trace saw, in one list: where the trace saw it, it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ops.database import statements
from ops.database.lint.model import Finding, Script, Trace

# squawk knows neither the types of columns nor what is validated already.
_GUESSES: Final = {
    "adding-field-with-default",
    "adding-not-nullable-field",
    "changing-column-type",
}
# What the trace says as well, with the table and the lock.
_SAID: Final = {*_GUESSES, "adding-foreign-key-constraint", "constraint-missing-not-valid"}
_SEEN: Final = {"table-rewrite", "scan-under-lock"}


def agreed(scripts: Sequence[Script], found: Sequence[Finding], trace: Trace) -> list[Finding]:
    """Join findings of the rules with those of the trace.

    What both say is said once. A guess that the trace refutes becomes a warning; a syntax error in what PostgreSQL has
    run is none.

    Args:
        scripts: The migrations.
        found: What the rules say.
        trace: What the scratch server showed.
    """
    starts = {
        script.path: [each.line for each in statements.split(script.text)]
        for script in scripts
        if script.path in trace.ran
    }
    seen = {(each.file, each.line) for each in trace.findings if each.rule in _SEEN}
    joined = []
    for each in found:
        if each.file in trace.ran and each.rule == "syntax-error":
            continue
        begin = max((line for line in starts.get(each.file, ()) if line <= each.line), default=0)
        if each.rule in _SAID and (each.file, begin) in seen:
            continue
        if begin and each.rule in _GUESSES:
            hint = "seen on a scratch server: neither written anew nor read whole"
            each = replace(each, severity="warning", hint=hint)
        joined.append(each)
    return sorted({*joined, *trace.findings})
