"""Answers of tasks as text and as JSON."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from ops.kernel import report
from ops.kernel.errors import ConfigurationError
from ops.kernel.report import Report, Table

TABLE = Table(("name", "state"), [("web", "RUNNING"), ("worker", "STOPPED")], "Services")
FULL = Report(
    "2 services",
    tables=(TABLE,),
    facts={"url": "http://x", "release": "abc"},
    hints=("inv logs",),
    data={"n": 2},
)
ESCAPE = re.compile(r"\x1b\[")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def text(made: Report, stream: io.StringIO | None = None, **options: Any) -> str:
    out = stream or io.StringIO()
    report.render(made, options.pop("form", "text"), out, **options)
    return out.getvalue()


def test_text_has_tables_summary_facts_and_what_to_run_next() -> None:
    assert text(FULL).splitlines() == [
        "Services",
        "name    state",
        "web     RUNNING",
        "worker  STOPPED",
        "2 services",
        "  url      http://x",
        "  release  abc",
        "  next: inv logs",
    ]


def test_quiet_leaves_the_result() -> None:
    assert text(FULL, quiet=True).splitlines()[-1] == "2 services"


def test_raw_text_stands_alone() -> None:
    assert text(Report("x", text="{}")) == "{}\n"


def test_json_has_status_summary_code_and_data() -> None:
    assert json.loads(text(FULL, form="json")) == {
        "status": "ok",
        "summary": "2 services",
        "exit_code": 0,
        "n": 2,
    }


def test_an_error_in_json() -> None:
    made = report.of_error(ConfigurationError("what", why="why", hint="hint"))
    assert json.loads(text(made, form="json")) == {
        "status": "error", "summary": "what", "exit_code": 3, "error": {"what": "what", "why": "why", "hint": "hint"},
    }  # fmt: skip


def test_where_it_goes_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    report.render(FULL, "text")
    assert capsys.readouterr().err == ""
    failed = report.of_error(ConfigurationError("what"))
    report.render(failed, "text")
    assert capsys.readouterr() == ("", "error: what\n")
    report.render(failed, "json")
    assert capsys.readouterr().err == "", "who reads JSON reads standard output"


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Screen, {"TERM": "xterm"}, True),
        (Screen, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Screen, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Screen, {"TERM": "dumb"}, False),
        (io.StringIO, {"TERM": "xterm"}, False),
    ],
)
def test_colours_only_where_somebody_sees_them(
    stream: type[io.StringIO],
    variables: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out = stream()
    assert report.colours(out) is coloured
    text(report.of_error(ConfigurationError("what")), out)
    assert bool(ESCAPE.search(out.getvalue())) is coloured


@pytest.mark.parametrize("cell", ["[bold]x[/nope]", "[red]", ":smile:", "\\[x]"])
def test_cells_and_titles_are_no_markup(cell: str) -> None:
    shown = text(Report("", tables=(Table(("name",), [(cell,)], cell),)))
    assert shown.splitlines() == [cell, "name", cell]


def test_text_of_others_does_not_steer_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x07\r\u202ec\udce9"
    made = Report(hostile, tables=(Table(("x",), [(hostile,)]),), facts={"a": hostile})
    for shown in (
        text(made),
        text(report.of_error(ConfigurationError(hostile, why=hostile, hint="x"))),
    ):
        assert "\\x1b[2J" in shown
        assert not set(shown) & set("\x1b\x07\r\u202e\udce9")


def test_a_line_has_an_end() -> None:
    shown = text(report.of_error(ConfigurationError("x" * 100_000, why="first\n" + "y" * 100_000)))
    assert [len(line) <= report.LONGEST + len("error: …") for line in shown.splitlines()] == [
        True,
        True,
    ]


def test_long_cells_are_folded_not_cut() -> None:
    words = "x" * 450
    shown = text(Report("", tables=(Table(("a", "b"), [("1", words)]),)))
    assert shown.count("x") == 450


def test_a_table_on_a_terminal_is_boxed() -> None:
    screen = Screen()
    report.print_table(TABLE, screen)
    assert "───" in screen.getvalue() and "RUNNING" in screen.getvalue()
