"""What a person sees of a run, on a real terminal (pyte draws it)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest

from ops.kernel import redact, terminal
from ops.kernel.events import Event
from ops.kernel.plan import Plan
from tests.support import runs
from tests.support.local import eventually


class Tty(io.StringIO):
    """A terminal of 80 columns; `lines` is what stands on it."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> pyte.Screen:
        screen = pyte.Screen(80, 24)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return screen

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Tty:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Tty()


@pytest.fixture
def observe(tty: Tty) -> Callable[[Event], None]:
    def never(event: Event) -> None:
        raise AssertionError("lines are for pipes")

    return terminal.observer(tty, never)


def test_without_a_terminal_there_are_plain_lines() -> None:
    def plain(event: Event) -> None:
        """Stand for the lines of the log."""

    assert terminal.observer(io.StringIO(), plain) is plain


def test_each_step_becomes_one_line(tty: Tty, observe: Callable[[Event], None]) -> None:
    observe(Event("run.started", message="deploy local"))
    for kind, step, data in (
        ("done", "build", {}),
        ("skipped", "migrate", {"note": "no migrations"}),
        ("failed", "switch", {"error": "shown once, at the end"}),
        ("undone", "start", {}),
        ("undo_failed", "proxy", {"error": "no answer"}),
    ):
        if kind != "skipped":
            observe(Event("step.started", step=step, message=step.title()))
        observe(Event(f"step.{kind}", step=step, message=step.title(), data=data))
    assert tty.lines == [
        "✓ Build",
        "· Migrate  no migrations",
        "✗ Switch",
        "↩ Start",
        "✗ Proxy  no answer",
    ]


def test_a_step_that_works_is_seen_with_its_progress(
    tty: Tty, observe: Callable[[Event], None]
) -> None:
    observe(Event("step.started", step="build", message="Build"))
    observe(Event("progress", step="build", message="3 of 7 packages"))
    observe(Event("progress", step="other", message="of a step that is not shown"))
    observe(Event("note", step="build", message="from the cache"))
    assert eventually(lambda: "Build: from the cache" in "".join(tty.lines), 5), tty.lines
    assert tty.screen.cursor.hidden
    observe(Event("step.done", step="build", message="Build"))
    assert [re.sub(r"  \d+\.\d s$", "  … s", line) for line in tty.lines] == ["✓ Build  … s"]
    assert not tty.screen.cursor.hidden


@pytest.mark.parametrize("kind", ["run.left", "run.failed", "run.done"])
def test_the_cursor_comes_back_when_a_run_is_left_in_the_middle(
    tty: Tty, observe: Callable[[Event], None], kind: str
) -> None:
    observe(Event("step.started", step="build", message="Build"))
    assert tty.screen.cursor.hidden
    observe(Event(kind, message="deploy local"))
    assert not tty.screen.cursor.hidden


def test_steps_at_the_same_time(tty: Tty, observe: Callable[[Event], None]) -> None:
    for step in ("one", "two"):
        observe(Event("step.started", step=step, message=step))
    for step in ("two", "one"):
        observe(Event("step.done", step=step, message=step))
    assert tty.lines == ["✓ two", "✓ one"]


def test_colours_are_left_out_when_nobody_wants_them(
    tty: Tty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    observe = terminal.observer(tty, lambda event: None)
    observe(Event("step.done", step="build", message="Build"))
    assert "\x1b[32m" not in tty.getvalue()
    assert tty.screen.buffer[0][0].fg == "default"
    monkeypatch.delenv("NO_COLOR")
    coloured = Tty()
    terminal.observer(coloured, lambda event: None)(
        Event("step.done", step="build", message="Build")
    )
    assert coloured.screen.buffer[0][0].fg == "green"


def test_secrets_are_hidden(
    tty: Tty, observe: Callable[[Event], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redact, "CENTRAL", redact.Redactor())
    redact.CENTRAL.add("sw0rdfish")
    observe(Event("step.started", step="a", message="A"))
    observe(Event("progress", step="a", message="sw0rdfish"))
    observe(Event("step.skipped", step="a", message="A", data={"note": "sw0rdfish"}))
    assert "sw0rdfish" not in tty.getvalue()


def test_a_plan_is_a_table_with_what_a_person_confirms(tmp_path: Path) -> None:
    runs.project(tmp_path)
    steps = (
        runs.write.step(name="a", text="x"),
        runs.change.step(compatible=True, when="pending"),
        runs.crash.step(),
    )
    plan = Plan("deploy", "local", "files", steps, summary={"release": "abc", "database": "shop"})
    out = io.StringIO()
    terminal.show_plan(plan, out)
    assert out.getvalue().splitlines() == [
        "deploy local on files",
        "#  step             when     limit  undo",
        "1  Write a                   10 s   yes",
        "2  Change for good  pending  10 s   no",
        "3  Crash                     10 s   –",  # noqa: RUF001
        "  release   abc",
        "  database  shop",
    ]
