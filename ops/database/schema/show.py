"""The answer of `inv db.schema` as a report."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ops.database.schema.check import Answer, Comparison
from ops.database.schema.compare import Difference
from ops.kernel import exits
from ops.kernel.report import Report, Table, readable

_SIDES: Final = {"live": "the live database"}
_EXCERPT_LINES: Final = 40
_UNSAID: Final = ("column", "column order", "owner")
"""What goes with its table without saying."""


def report(answer: Answer, environment: str) -> Report:
    """Return what was found, each difference by object, with the side that has it."""
    sides = list(
        dict.fromkeys(each for one in answer.comparisons for each in (one.left, one.right))
    )
    sides.sort(key=["models", "migrations", "live"].index)
    count = max(each.count for each in answer.comparisons)
    total = sum(len(each.found) for each in answer.comparisons)
    if answer.agree:
        summary = f"{_listed(sides)} agree: {count} objects"
    else:
        summary = f"{_listed(sides)} differ: {total} of {count} objects"
    return Report(
        summary,
        status="ok" if answer.agree else "difference",
        tables=[_table(each) for each in answer.comparisons if each.found],
        body="\n".join(
            _excerpt(one, each)
            for one in answer.comparisons
            for each in one.found
            if each.excerpt(one.left, one.right)
        ),
        facts=answer.facts,
        hints=[f"inv db.migrate --env {environment}"] if answer.pending else (),
        data={
            "agree": answer.agree,
            "comparisons": [_data(each) for each in answer.comparisons],
            "pending": list(answer.pending),
            "facts": dict(answer.facts),
        },
        exit_code=exits.OK if answer.agree else exits.GENERAL,
    )


def _listed(sides: list[str]) -> str:
    names = [_SIDES.get(each, each) for each in sides]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _table(comparison: Comparison) -> Table:
    rows = [(str(each.key), _what(comparison, each)) for each in comparison.found]
    sides = f"{comparison.left} and {_SIDES.get(comparison.right, comparison.right)}"
    return Table(("object", "difference"), rows, f"{sides}: {len(rows)} differ")


def _what(comparison: Comparison, each: Difference) -> str:
    what = each.what(comparison.left, comparison.right)
    kinds = Counter(key.kind for key in each.with_it if key.kind not in _UNSAID)
    more = ", ".join(_counted(number, kind) for kind, number in sorted(kinds.items()))
    return f"{what} (and with it: {more})" if more else what


def _counted(number: int, kind: str) -> str:
    if number == 1 or kind.endswith("s"):
        return f"{number} {kind}"
    ending = {"x": "es", "y": "ies"}.get(kind[-1], "s")
    return f"{number} {kind.removesuffix('y')}{ending}"


def _excerpt(comparison: Comparison, each: Difference) -> str:
    lines = each.excerpt(comparison.left, comparison.right).splitlines()
    hidden = len(lines) - _EXCERPT_LINES
    more = [f"... {hidden} more lines: --format json"] if hidden > 0 else []
    return readable("\n".join([f"\n{each.key}", *lines[:_EXCERPT_LINES], *more]))


def _data(comparison: Comparison) -> dict[str, Any]:
    left, right = comparison.left, comparison.right
    return {
        "left": left,
        "right": right,
        "objects": comparison.count,
        "differences": [
            {
                "object": str(each.key),
                "kind": each.key.kind,
                "schema": each.key.schema,
                "name": each.key.name,
                "table": each.key.table,
                "difference": each.what(left, right),
                left: each.shown(each.left),
                right: each.shown(each.right),
                "excerpt": each.excerpt(left, right),
                "with_it": [str(key) for key in each.with_it],
            }
            for each in comparison.found
        ],
    }
