"""Levels and confirmations."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from ops.kernel import policy
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.invocation import Options
from ops.kernel.plan import Plan
from ops.kernel.settings.models import Settings
from ops.kernel.task import ADMIN, READ, WRITE, Level
from tests.support import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runs.project(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typing(monkeypatch: pytest.MonkeyPatch, text: str) -> io.StringIO:
    """Sit at a terminal and type; return what is shown."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(text))
    monkeypatch.setattr("sys.stderr", shown)
    return shown


def confirm(settings: Settings, destructive: bool = False, **options: Any) -> None:
    plan = Plan("deploy", settings.name, "files", (), destructive=destructive)
    policy.confirm(plan, settings, Options(**options))


@pytest.mark.parametrize("level", [READ, WRITE, ADMIN])
def test_an_environment_without_a_cap_allows_everything(folder: Path, level: Level) -> None:
    policy.permit(level, "deploy", runs.settings(folder))


@pytest.mark.parametrize("level", [WRITE, ADMIN])
def test_a_cap_refuses_what_is_above_it(folder: Path, level: Level) -> None:
    settings = runs.settings(folder, "looking")
    policy.permit(READ, "releases", settings)
    with pytest.raises(NotPermitted) as caught:
        policy.permit(level, "deploy", settings)
    assert str(caught.value) == f"deploy needs level {level.name.lower()}, looking allows read"
    assert caught.value.hint == "[environments.looking] level in ops.toml decides"
    assert caught.value.exit_code == 5


def test_what_loses_nothing_is_not_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = typing(monkeypatch, "")
    confirm(runs.settings(folder))
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("environment", "destructive", "options", "accepted"),
    [
        ("development", True, {}, False),
        ("development", True, {"yes": True}, True),
        ("development", True, {"confirm": "development"}, True),
        ("development", True, {"confirm": "guarded"}, False),
        ("guarded", False, {}, False),
        ("guarded", False, {"yes": True}, False),
        ("guarded", False, {"confirm": "guarded"}, True),
        ("guarded", True, {"yes": True, "confirm": "guarded"}, True),
        ("guarded", True, {"yes": True, "confirm": "Guarded"}, False),
        ("guarded", True, {"confirm": " guarded"}, False),
    ],
)
def test_without_a_terminal_it_is_said_by_arguments_and_never_asked(
    folder: Path, environment: str, destructive: bool, options: dict[str, Any], accepted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{environment}\n"))
    settings = runs.settings(folder, environment)
    if accepted:
        confirm(settings, destructive, **options)
        return
    with pytest.raises(ConfigurationError) as caught:
        confirm(settings, destructive, **options)
    assert f"--confirm {environment}" in caught.value.hint


def test_at_a_terminal_the_name_is_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = typing(monkeypatch, "guarded\n")
    confirm(runs.settings(folder, "guarded"))
    assert shown.getvalue() == "type guarded to go on: "


@pytest.mark.parametrize("answer", ["", "\n", "y\n", "yes\n", "guard\n", "GUARDED\n"])
def test_anything_else_is_a_no(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, answer)
    with pytest.raises(ConfigurationError, match="not confirmed, nothing was changed"):
        confirm(runs.settings(folder, "guarded"))
