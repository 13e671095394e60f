"""Every task with arguments that nobody means: a documented exit code, one clear message, nothing changed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops import tasks
from ops.kernel import exits, guard
from ops.kernel.task import READ, OpsTask, shared_parameters
from tests.conftest import require
from tests.support import traced
from tests.support.commands import Answer, Command
from tests.support.project import Project, place, project

COLLECTION = tasks.collection()
NAMES = sorted(COLLECTION.task_names)
SIXTH = 6
"""What all tasks share meets each value in one task of six."""
# No NUL: the system lets none into an argument.
HOSTILE = {
    "empty": "",
    "blank": " ",
    "very long": "x" * 100_000,
    "unicode": "Größe-日本語-🚀\u202e",
    "not UTF-8": "\udce9\udcff",
    "newlines": "a\nb\r\nc",
    "escape sequences": "\x1b[31mred\x07",
    "up and away": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "shell": "$(id); `id` | id && id",
    "like an option": "--upload-pack=id",
    "negative": "-1",
    "zero": "0",
    "huge": "9" * 400,
    "not a number": "1e5",
    "format": "%s%n{0}{environment}",
    "rich": "[bold]x[/nope]",
    "SQL": "'; DROP TABLE runs; --",
    "glob": "*",
}


@dataclass(frozen=True)
class Place:
    """A project with a commit and a recorded run, never deployed."""

    made: Project

    def snapshot(self) -> dict[str, str]:
        return traced.snapshot(self.made.folder.parent, self.made.base)


@pytest.fixture(scope="module")
def quiet() -> Iterator[Place]:
    require("git", "git")
    with place() as home, project("tiny", home) as tiny:
        tiny.program = [sys.executable, "-m", "tests.faults.run"]
        ran = tiny.run("deploy", FAULT="kill:step.started:")
        assert ran.code < 0, ran.text
        yield Place(tiny)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], quiet: Place, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.chdir(quiet.made.folder)
    monkeypatch.setenv("OPS_HOME", str(quiet.made.base))
    monkeypatch.setenv("CI", "")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return Command(capsys)


def parameters(made: OpsTask) -> dict[str, Any]:
    return {name: each.default for name, each in made.argspec(made.body).parameters.items()}


def required(made: OpsTask, but: str) -> list[str]:
    """Return arguments for the parameters that have no default."""
    return [
        f"{flag(name)}=x"
        for name, default in parameters(made).items()
        if default is type(None) and name != but
    ]


def flag(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def assert_clear(answer: Answer, said: str) -> None:
    """One of our codes and, unless it went well or reports a difference, one message."""
    assert answer.code in exits.MEANINGS, said
    assert "Traceback" not in answer.err + answer.out, f"{said}\n{answer.err}"
    assert "unexpected error" not in answer.err + answer.out, f"{said}\n{answer.err}"
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    if answer.code in (exits.OK, exits.DRY_RUN) or (not answer.err and answer.out):
        assert errors == [], said
    else:
        assert len(errors) == 1, f"{said}\n{answer.err}"
        assert len(answer.err) < 3_000, f"{said}: a message to read has an end"
        assert (
            "\x1b" not in answer.err and "\x07" not in answer.err
        ), f"{said}: the terminal is not theirs"
    assert guard.mode() is guard.Mode.CHANGE, said


@pytest.mark.parametrize("name", NAMES)
def test_hostile_arguments_change_nothing_and_say_one_thing(
    run: Command, quiet: Place, name: str
) -> None:
    made = COLLECTION[name]
    assert isinstance(made, OpsTask)
    dry = [] if made.level is READ else ["--dry-run"]
    before, shared = quiet.snapshot(), shared_parameters(made.level)
    for parameter, default in parameters(made).items():
        if isinstance(default, bool):
            continue
        for number, (kind, value) in enumerate(HOSTILE.items(), NAMES.index(name)):
            if parameter in shared and number % SIXTH:
                continue
            words = [name, *required(made, parameter), f"{flag(parameter)}={value}"]
            said = f"inv {name} {flag(parameter)} {kind}"
            answer = run(*words, *dry, tasks=COLLECTION)
            assert_clear(answer, said)
            if dry and answer.code not in (exits.OK, exits.DRY_RUN):
                # What the dry run refuses is refused for real in the same words.
                real = run(*words, tasks=COLLECTION)
                assert (real.code, real.err) == (answer.code, answer.err), said
    assert quiet.snapshot() == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "words", [["--nope"], ["surplus"], ["--env"], ["--format"], ["-x"], ["--", "y"]], ids=" ".join
)
def test_words_that_do_not_belong_there(
    run: Command, quiet: Place, name: str, words: list[str]
) -> None:
    made = COLLECTION[name]
    assert isinstance(made, OpsTask)
    # The dry run comes first: what stands behind -- would not count, and the task would run.
    answer = run(
        name,
        *([] if made.level is READ else ["--dry-run"]),
        *required(made, ""),
        *words,
        tasks=COLLECTION,
    )
    assert_clear(answer, f"inv {name} {words}")
    assert answer.code == exits.CONFIGURATION


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "toml",
    ["", "[app", "[app]\nname = 3\n", "\x00", "app = 1\n", '[app]\nname = "x"\n[environments]\n'],
    ids=repr,
)
def test_a_broken_ops_toml(
    run: Command, name: str, toml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = COLLECTION[name]
    assert isinstance(made, OpsTask)
    (tmp_path / "ops.toml").write_text(toml)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_HOME", str(tmp_path / "home"))
    answer = run(
        name, *([] if made.level is READ else ["--dry-run"]), *required(made, ""), tasks=COLLECTION
    )
    assert_clear(answer, f"inv {name}")
    assert [path.name for path in tmp_path.iterdir()] == ["ops.toml"]


def test_shared_parameters_are_among_them() -> None:
    tried = {each for name in NAMES for each in parameters(COLLECTION[name])}
    assert {"env", "format", "confirm", "plan"} <= tried <= {*tried, *shared_parameters(READ)}
