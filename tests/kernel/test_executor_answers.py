"""Exit codes and messages: the executor is the only place of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from invoke.exceptions import Exit

from ops.kernel import exits, guard, redact
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    ConnectionFailed,
    DependencyError,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
)
from ops.kernel.invocation import Invocation
from ops.kernel.report import Report
from ops.kernel.signals import Abandoned
from ops.kernel.task import READ, WRITE, Level, OpsTask, task
from tests.support.commands import Answer, Command


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def doing(body: Callable[[Invocation], Any], level: Level = READ) -> OpsTask:
    """Make a task `it` of a function."""

    def it(call: Invocation) -> Any:
        return body(call)

    return task(level=level, kind="deploy")(it)


def raising(error: BaseException) -> OpsTask:
    def body(call: Invocation) -> None:
        raise error

    return doing(body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OpsError("x"), 1),
        (StepFailed("x"), 1),
        (Busy("x"), 1),
        (DependencyError("x"), 2),
        (ConfigurationError("x"), 3),
        (ConnectionFailed("x"), 4),
        (NotPermitted("x"), 5),
        (Interrupted("x", signal_number=2), 130),
        (Interrupted("x", signal_number=15), 143),
        (KeyboardInterrupt(), 130),
        (Abandoned(15), 130),
        (ZeroDivisionError("division by zero"), 1),
        (Exit("x", code=5), 5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_has_its_exit_code_and_one_message(
    run: Command, error: BaseException, code: int
) -> None:
    answer = run("it", tasks=(raising(error),))
    assert answer.code == code
    assert answer.code in exits.MEANINGS
    assert answer.out == ""
    assert 1 <= len(answer.err.splitlines()) <= 2
    assert "Traceback" not in answer.err


def test_a_message_says_what_why_and_what_to_do(run: Command) -> None:
    error = ConfigurationError(
        "ops.toml:4: port is 'x'", why="it is not a number", hint="port = 8080"
    )
    assert run("it", tasks=(raising(error),)).err == (
        "error: ops.toml:4: port is 'x': it is not a number\n  try: port = 8080\n"
    )


def test_an_unexpected_error_is_one_line_and_with_debug_a_traceback(run: Command) -> None:
    broken = raising(ValueError("first\nsecond"))
    assert run("it", tasks=(broken,)).err == (
        "error: unexpected error: ValueError: first\n  try: run it again with --debug and report it\n"
    )
    debug = run("it", "--debug", tasks=(broken,)).err
    assert debug.startswith("Traceback (most recent call last)")
    assert debug.endswith("  try: run it again with --debug and report it\n")


@pytest.mark.parametrize("error", [ValueError(), ValueError("\n"), ValueError("  \nx")])
def test_an_error_without_a_text_is_named_by_its_type(run: Command, error: ValueError) -> None:
    assert "ValueError" in run("it", tasks=(raising(error),)).err


async def _coroutine(call: Invocation) -> Report:
    return Report("never awaited")


def _generator(call: Invocation) -> Any:
    yield Report("never run")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (lambda call: 3, "int"),
        (lambda call: 0, "int"),
        (lambda call: False, "bool"),
        (lambda call: "done", "str"),
        (_coroutine, "coroutine"),
        (_generator, "generator"),
    ],
    ids=["3", "0", "False", "text", "async def", "generator"],
)
def test_nothing_but_a_report_passes_as_success(
    run: Command, body: Callable[..., Any], kind: str
) -> None:
    answer = run("it", tasks=(doing(body),))
    assert answer.code == 3
    assert answer.err.startswith(f"error: task it returned {kind}, not a report")


def test_an_async_task_itself_does_not_pass(run: Command) -> None:
    answer = run("it", tasks=(task(level=READ, kind="deploy", name="it")(_coroutine),))
    assert (answer.code, answer.err.split(",")[0]) == (3, "error: task it returned coroutine")


@pytest.mark.parametrize(
    ("report", "code"), [(Report("fine"), 0), (Report("differs", "difference", exit_code=1), 1)]
)
def test_a_report_decides_the_code(run: Command, report: Report, code: int) -> None:
    answer = run("it", tasks=(doing(lambda call: report),))
    assert (answer.code, answer.out) == (code, f"{report.summary}\n")


def test_a_report_of_an_error_goes_to_standard_error(run: Command) -> None:
    answer = run("it", tasks=(doing(lambda call: Report("broken", "error", exit_code=1)),))
    assert (answer.code, answer.out, answer.err) == (1, "", "error: broken\n")


def _options(call: Invocation) -> Report:
    return Report("seen", data={"dry_run": call.options.dry_run, "mode": guard.mode().name})


@pytest.mark.parametrize(
    ("words", "variables", "dry"),
    [
        (["it"], {}, False),
        (["it", "--dry-run"], {}, True),
        (["--dry", "it"], {}, True),
        (["-R", "it"], {}, True),
        (["it", "-R"], {}, True),
        (["it"], {"DRY_RUN": "true"}, True),
        (["it"], {"DRY_RUN": "1"}, True),
        (["it"], {"DRY_RUN": "Yes"}, True),
        (["it"], {"DRY_RUN": "false"}, False),
        (["it"], {"DRY_RUN": "0"}, False),
        (["it"], {"DRY_RUN": ""}, False),
        (["it"], {"SAFE_MODE": "true"}, True),
        (["it"], {"SAFE_MODE": "off", "DRY_RUN": "off"}, False),
        (["it"], {"INVOKE_RUN_DRY": "1"}, False),  # Invoke's own variables change nothing here
    ],
)
def test_what_counts_as_a_dry_run(
    run: Command,
    words: list[str],
    variables: dict[str, str],
    dry: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    answer = run(*words, "--format", "json", tasks=(doing(_options, WRITE),))
    assert (answer.code, answer.json["dry_run"]) == (0, dry)
    assert answer.json["mode"] == ("DRY_RUN" if dry else "CHANGE")


@pytest.mark.parametrize("name", ["DRY_RUN", "SAFE_MODE"])
def test_a_variable_that_is_neither_yes_nor_no_stops_everything(
    run: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "perhaps")
    answer = run("it", tasks=(doing(_options, WRITE),))
    assert (answer.code, answer.out) == (3, "")
    assert (
        answer.err
        == f"error: {name}='perhaps' is neither true nor false\n  try: export {name}=true\n"
    )


def test_a_reading_task_with_dry_run_set_succeeds(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRY_RUN", "true")
    answer = run("it", "--format", "json", tasks=(doing(_options),))
    assert (answer.code, answer.json["mode"]) == (0, "READ")


@pytest.mark.parametrize("level", [READ, WRITE])
def test_an_effect_is_refused_where_nothing_may_change(run: Command, level: Level) -> None:
    def body(call: Invocation) -> None:
        guard.effect("write /etc/x")

    answer = run("it", *(["--dry-run"] if level is WRITE else []), tasks=(doing(body, level),))
    assert answer.code == 5
    assert ": write /etc/x: nothing may change here" in answer.err


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["it", "--format", "json"], {}),
        (["it", "--format=json"], {}),
        (["it"], {"OPS_FORMAT": "json"}),
    ],
)
@pytest.mark.parametrize(
    "error",
    [ConfigurationError("x", why="y", hint="z"), KeyboardInterrupt(), ValueError("boom")],
    ids=repr,
)
def test_json_is_json_for_errors_too(
    run: Command,
    words: list[str],
    variables: dict[str, str],
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    answer = run(*words, tasks=(raising(error),))
    assert (answer.json["status"], answer.json["exit_code"], answer.err) == (
        "error",
        answer.code,
        "",
    )
    assert set(answer.json["error"]) == {"what", "why", "hint"}


def test_json_is_json_when_a_variable_is_wrong(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRY_RUN", "perhaps")
    assert run("it", "--format", "json", tasks=(doing(_options, WRITE),)).json["exit_code"] == 3


@pytest.mark.parametrize("words", [["it", "--format", "xml"], ["it", "--format", "JSON"]])
def test_another_format_is_refused(run: Command, words: list[str]) -> None:
    answer = run(*words, tasks=(doing(_options),))
    assert (answer.code, answer.out) == (3, "")
    assert "is neither text nor json" in answer.err


def test_a_secret_shows_nowhere(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "CENTRAL", redact.Redactor())
    redact.CENTRAL.add("sw0rdfish")
    answers: list[Answer] = [
        run("it", *words, tasks=(made,))
        for words in ([], ["--debug"], ["--format", "json"])
        for made in (
            raising(OpsError("sw0rdfish", why="sw0rdfish", hint="sw0rdfish")),
            raising(ValueError("sw0rdfish")),
        )
    ]
    answers.append(
        run(
            "it",
            tasks=(
                doing(
                    lambda call: Report("sw0rdfish", facts={"a": "sw0rdfish"}, hints=["sw0rdfish"])
                ),
            ),
        )
    )
    assert "sw0rdfish" not in "".join(each.out + each.err for each in answers)
    assert all("***" in each.out + each.err for each in answers)


def test_text_that_is_not_utf_8_is_shown_all_the_same(run: Command) -> None:
    answer = run("it", tasks=(raising(ConfigurationError("no such file: \udce9")),))
    assert (answer.code, answer.err) == (3, "error: no such file: \\udce9\n")


def test_a_task_may_leave_without_a_word(run: Command) -> None:
    answer = run("it", tasks=(raising(Exit(code=4)),))
    assert (answer.code, answer.out, answer.err) == (4, "", "")
