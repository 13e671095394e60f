"""The command line: its help, and what it answers to wrong words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection

from ops import __version__, program, tasks
from ops.kernel.task import READ, OpsTask, shared_parameters
from tests.support import runs
from tests.support.commands import Command

ROOT = Path(__file__).parents[1]
COLLECTION = tasks.collection()
NAMES = sorted(COLLECTION.task_names)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def found(name: str) -> OpsTask:
    made = COLLECTION[name]
    assert isinstance(made, OpsTask), f"{name} is not declared with ops.kernel.task.task"
    return made


def flag(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_task_shows_every_parameter_with_its_text(run: Command, name: str) -> None:
    made = found(name)
    answer = run("--help", name, tasks=COLLECTION)
    assert answer.code == 0
    for parameter in made.argspec(made.body).parameters:
        default = made.argspec(made.body).parameters[parameter].default
        shown = f"--no-{parameter}" if default is True else flag(parameter)
        assert re.search(rf"^\s+(-\w, )?{shown}\b", answer.out, re.MULTILINE), f"{shown} is missing"
        text = made.help[parameter]
        assert text.endswith(
            "."
        ), f"help of {flag(parameter)}: {text!r} does not end with a full stop"
        assert text.split()[0] in answer.out


@pytest.mark.parametrize("name", NAMES)
def test_a_task_says_what_it_does_in_a_sentence(name: str) -> None:
    first = (found(name).__doc__ or "").strip().splitlines()[0]
    assert re.fullmatch(r"[A-Z].*\.", first), f"{name}: {first!r}"


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_the_shared_parameters_of_its_level(name: str) -> None:
    made = found(name)
    assert set(shared_parameters(made.level)) <= set(made.argspec(made.body).parameters)
    assert ("dry_run" in made.argspec(made.body).parameters) == (made.level is not READ)


def test_no_two_tasks_share_a_name_and_a_docstring() -> None:
    # What Invoke takes for the same task is told apart by the executor; readers of `inv --list` cannot.
    texts = [found(name).__doc__ for name in NAMES]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_in_the_documentation(name: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    assert re.search(
        rf"(?<![\w.]){re.escape(name)}(?![\w.-])", text
    ), f"no page of docs/ mentions inv {name}"


def test_the_list_has_every_task(run: Command) -> None:
    answer = run("--list", "-F", "json", tasks=COLLECTION)
    assert answer.code == 0

    def names(data: dict[str, object], prefix: str = "") -> list[str]:
        own = [prefix + each["name"] for each in data["tasks"]]  # type: ignore[attr-defined]
        return own + [
            name for each in data["collections"] for name in names(each, f"{each['name']}.")  # type: ignore[attr-defined]
        ]

    assert sorted(names(json.loads(answer.out))) == NAMES


def test_the_version_is_ours(run: Command) -> None:
    assert __version__ in run("--version", tasks=COLLECTION).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion(run: Command, shell: str) -> None:
    answer = run("--print-completion-script", shell, tasks=COLLECTION)
    assert answer.code == 0
    assert "inv" in answer.out


HINT = "inv --list, inv --help TASK"


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["depoy"], "No idea what 'depoy' is!", HINT),
        (["deploy", "--nope"], "No idea what '--nope' is!", HINT),
        (["--nope"], "No idea what '--nope' is!", HINT),
        (["deploy", "--ref"], "Flag <Argument: ref> needed value and was not given one!", HINT),
        (
            ["deploy", "-e", "production"],
            "No idea what 'production' is!",
            "-e is Invoke's echo flag; the environment is --env NAME",
        ),
        (["-e", "deploy"], "-e is Invoke's echo flag", "inv deploy --env NAME"),
        (["runs.show"], "'runs.show' did not receive required positional arguments: 'run_id'", HINT),
        (["-T", "soon", "deploy"], "invalid literal for int() with base 10: 'soon'", HINT),
        (["-F", "xml", "--list"], "-F xml is none of flat, nested and json", "inv --list -F json"),
        (
            ["-f", "other.yaml", "deploy"],
            "-f names a configuration file of Invoke, which is not read",
            "inv config.show",
        ),
        (["--help", "nope"], "No idea what 'nope' is!", HINT),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_wrong_words_end_with_3_and_a_hint(
    run: Command, words: list[str], error: str, hint: str
) -> None:
    answer = run(*words, tasks=COLLECTION)
    assert (answer.code, answer.out, answer.err) == (3, "", f"error: {error}\n  try: {hint}\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_task_reads_its_own_numbers(name: str) -> None:
    # Invoke's reading of a number ends in a traceback for any other word.
    made = found(name)
    parameters = made.argspec(made.body).parameters.values()
    assert {type(each.default) for each in parameters} <= {str, bool, type(None), type}


@pytest.mark.parametrize(
    "file", ["broken: [", "tasks: {executor_class: invoke.executor.Executor}", "run: {dry: true}"]
)
def test_no_file_of_invoke_is_read(
    run: Command, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops.toml").write_text(runs.OPS_TOML)
    for name in (".invops.yaml", ".invoke.yaml", "invops.yaml", "invoke.yaml"):
        (tmp_path / name).write_text(file)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INVOKE_RUNTIME_CONFIG", str(tmp_path / "invoke.yaml"))
    monkeypatch.chdir(tmp_path)
    assert run("runs.list", "--format", "json", tasks=COLLECTION).json["status"] == "ok"
    assert run("lock.release", tasks=COLLECTION).code == 0


@pytest.mark.parametrize(
    "words", [["deploy", "--nope", "--format", "json"], ["--format=json", "nope"]]
)
def test_wrong_words_are_json_when_json_is_asked_for(run: Command, words: list[str]) -> None:
    answer = run(*words, tasks=COLLECTION)
    assert (answer.code, answer.json["status"], answer.json["exit_code"]) == (3, "error", 3)


def test_the_program_is_called_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for started, name in (("/x/ops/program.py", "inv"), ("/venv/bin/invops", "invops")):
        monkeypatch.setattr(sys, "argv", [started, "nope"])
        assert program.run() == 3
        assert f"try: {name} --list" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--list"], ["config.show", "--env", "local"], ["nope"]])
def test_a_reader_that_is_gone_is_no_traceback(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "ops.toml").write_text('[app]\nname = "demo"\ndefault_environment = "local"\n')
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "ops.program", *words],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert "Traceback" not in ran.stderr
    assert ran.returncode in (1, 3)


def test_what_is_registered_for_the_end_is_done_and_output_is_whole(tmp_path: Path) -> None:
    program_ = (
        "import atexit, pathlib, sys; from ops import program\n"
        f"atexit.register(pathlib.Path({str(tmp_path / 'done')!r}).touch)\n"
        "print('x' * 100_000)\n"
        "program.leave(7)"
    )
    ran = subprocess.run([sys.executable, "-c", program_], capture_output=True, check=False)
    assert (ran.returncode, len(ran.stdout)) == (7, 100_001)
    assert (tmp_path / "done").exists()


def test_there_is_no_task_without_a_word(run: Command) -> None:
    answer = run(tasks=Collection(*(found(name) for name in ("rollback",))))
    assert answer.code == 0
    assert "rollback" in answer.out
