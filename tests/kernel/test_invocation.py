"""What the body of a task is given."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from ops.kernel.errors import ConfigurationError
from ops.kernel.guard import Mode
from ops.kernel.invocation import Invocation, Options
from ops.kernel.task import ADMIN, KIND_LIMITS, READ, WRITE, task
from tests.support import runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return runs.project(tmp_path)


@pytest.mark.parametrize(
    ("dry_run", "modes"),
    [
        (False, [Mode.READ, Mode.CHANGE, Mode.CHANGE]),
        (True, [Mode.READ, Mode.DRY_RUN, Mode.DRY_RUN]),
    ],
)
def test_the_level_and_the_dry_run_decide_what_may_leave(dry_run: bool, modes: list[Mode]) -> None:
    assert [Options(dry_run=dry_run).mode(level) for level in (READ, WRITE, ADMIN)] == modes


@pytest.mark.parametrize("given", [{"format": "xml"}, {"format": "TEXT"}])
def test_another_format_is_a_mistake(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="is neither text nor json"):
        Options.of(given, dry=False)


def test_how_an_error_is_shown_is_read_from_anything() -> None:
    assert Options.for_errors({}) == Options()
    assert Options.for_errors({"format": "json", "debug": True, "env": object()}) == Options(
        format="json", debug=True
    )
    assert Options.for_errors({"format": "xml"}) == Options()


def test_arguments_of_the_task_itself_are_no_options() -> None:
    assert Options.of({"env": "local", "ref": "main"}, dry=False) == Options(env="local")


def test_settings_are_read_once_and_only_when_asked_for(folder: Path) -> None:
    (folder / "ops.toml").unlink()
    call = Invocation("sample", runs.sample, Options(env="guarded"), io.StringIO())
    runs.project(folder)
    assert call.settings.name == "guarded"
    (folder / "ops.toml").unlink()
    assert call.settings.name == "guarded"


def test_the_state_is_not_made_by_looking(folder: Path) -> None:
    call = runs.call(folder)
    assert call.state() is None
    state = call.state(create=True)
    assert state is not None
    state.close()


@pytest.mark.parametrize("kind", [*KIND_LIMITS, "deploy"])
def test_a_context_has_the_time_of_its_kind(folder: Path, kind: str) -> None:
    made = task(level=READ, kind=kind, name="it")(lambda call: None)
    call = Invocation("it", made, Options(), io.StringIO())
    assert call.context().deadline.seconds == KIND_LIMITS.get(kind, 3600)


def test_the_actor_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "anna")
    assert runs.call(folder).context().actor.startswith("anna@")
