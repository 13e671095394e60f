"""What a task answers: one object, rendered as text or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from ops.kernel import exits, redact
from ops.kernel.errors import OpsError
from ops.kernel.settings import environ

STYLES: Final = {"ok": "green", "missing": "red", "wrong": "red", "warning": "yellow"}
"""Colours of cells that say a state."""

LONGEST = 500
"""Characters of a line; the rest of a longer one (a command, an argument) is in the run's log."""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Args:
        columns: Headings.
        rows: One tuple of texts for each row, as long as `columns`.
        title: Shown above, may be empty.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Report:
    """The answer of a task.

    Args:
        summary: One line for a person.
        status: `ok`, `nothing` (nothing to change), `dry-run`, `difference` or `error`.
        tables: Shown as tables.
        facts: Shown one a line.
        hints: Commands to run next.
        body: Raw text shown below the tables, may be empty.
        text: Raw text shown in place of everything else (e.g. a schema), may be empty.
        data: The body of the JSON answer.
        exit_code: The process's exit code.
    """

    summary: str
    status: str = "ok"
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    hints: Sequence[str] = ()
    body: str = ""
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int = exits.OK


def of_error(error: OpsError) -> Report:
    """Return the report that an error is shown as."""
    return Report(
        summary=error.what,
        status="error",
        facts={"why": error.why} if error.why else {},
        hints=(error.hint,) if error.hint else (),
        data={"error": {"what": error.what, "why": error.why, "hint": error.hint}},
        exit_code=error.exit_code,
    )


def render(report: Report, form: str, stream: TextIO | None = None, quiet: bool = False) -> None:
    """Print a report.

    Args:
        report: What to print.
        form: `text` or `json`.
        stream: Where to; default: standard output, standard error for the text of an error.
        quiet: Leave out hints and facts.
    """
    out = stream or (sys.stderr if report.status == "error" and form != "json" else sys.stdout)
    if form == "json":
        body = {"status": report.status, "summary": report.summary, "exit_code": report.exit_code}
        _say(json.dumps({**body, **report.data}, indent=2, default=str), out)
    elif report.status == "error":
        _render_error(report, out)
    elif report.text:
        _say(report.text, out)
    else:
        _render_text(report, out, quiet)


def _render_error(report: Report, out: TextIO) -> None:
    mark = "\033[1;31merror:\033[0m" if colours(out) else "error:"
    why = report.facts.get("why", "")
    _say(f"{mark} " + readable(f"{report.summary}: {why}" if why else report.summary), out)
    for hint in report.hints:
        _say(f"  try: {readable(hint)}", out)


def _render_text(report: Report, out: TextIO, quiet: bool) -> None:
    for number, table in enumerate(report.tables):
        if number and not out.isatty():
            _say("", out)
        print_table(table, out)
    if report.body:
        _say(report.body, out)
    if report.summary:
        _say(readable(report.summary), out)
    if quiet:
        return
    width = max((len(key) for key in report.facts), default=0)
    for key, value in report.facts.items():
        _say(f"  {key:<{width}}  {readable(value)}", out)
    for hint in report.hints:
        _say(f"  next: {hint}", out)


def readable(text: str) -> str:
    """Return text of unknown origin for a terminal: nothing that steers it, and no line without an end."""
    plain = "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)
    return "\n".join(
        line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in plain.split("\n")
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _say(text: str, out: TextIO) -> None:
    print(redact.CENTRAL.text(text), file=out)


def print_table(table: Table, out: TextIO) -> None:
    """Print a table: boxed on a terminal, plain columns elsewhere."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    terminal = out.isatty()
    drawn = RichTable(box=SIMPLE_HEAD if terminal else None, pad_edge=False)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        cells = [redact.CENTRAL.text(readable(cell)) for cell in row]
        drawn.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    width = None if terminal else 200
    console = Console(
        file=out, no_color=not colours(out), width=width, highlight=False, soft_wrap=False
    )
    if table.title:  # by itself: rich would fold it to the width of the columns
        title = redact.CENTRAL.text(readable(table.title))
        console.print(Text(title, style="bold"), soft_wrap=True)
    if terminal:
        console.print(drawn)
        return
    with console.capture() as capture:
        console.print(drawn)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), file=out)


def colours(out: TextIO) -> bool:
    """Say whether `out` shows colours (source: no-color.org)."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
