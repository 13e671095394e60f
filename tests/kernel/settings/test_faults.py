"""Wrong files, with the exact message for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from ops.kernel.settings import faults
from ops.kernel.settings.models import Environment

Faults = Callable[..., list[str]]

SMALLEST = '[app]\nname = "shop"\n[environments.development]\ntarget = "local"\n'


def _cases() -> Iterator[object]:
    """Read the files in wrong/: an ops.toml, then what is wrong with it."""
    for file in sorted((Path(__file__).parent / "wrong").iterdir()):
        for number, case in enumerate(file.read_text().split("\n----\n")[1:], 1):
            text, *faults = re.split(r"^!! ", case, flags=re.MULTILINE)
            yield pytest.param(
                text.replace("<app>\n", SMALLEST),
                [fault.rstrip("\n") for fault in faults],
                id=f"{file.stem}-{number}",
            )


@pytest.mark.parametrize(("text", "faults"), list(_cases()))
def test_what_is_wrong_is_named_with_its_line(
    faults_of: Faults, tmp_path: Path, text: str, faults: list[str]
) -> None:
    outside = str(tmp_path.resolve().parent.parent)

    assert faults_of(text) == [fault.replace("{outside}", outside) for fault in faults]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[app]\nname = \n", "2: the file is not TOML: Invalid value (column 8)"),
        ("[app]\nname = 'x", "2: the file is not TOML: Expected \"'\" (at the end of the file)"),
        ("[app]\nx = 1\nx = 2\n", "3: the file is not TOML: Cannot overwrite a value (column 6)"),
        ("[app]\n[app]\n", "2: the file is not TOML: Cannot declare ('app',) twice (column 5)"),
        ("a: b\n", "1: the file is not TOML: Expected '=' after a key in a key/value pair (column 2)"),
    ],
)  # fmt: skip
def test_what_is_not_toml_is_named_with_its_line(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"ops.toml:{fault}"]


def test_hostile_nesting_is_a_fault(faults_of: Faults) -> None:
    assert faults_of("a = " + "[" * 20_000) == ["ops.toml: the file is nested too deeply"]


def test_a_number_of_too_many_digits_is_a_fault(faults_of: Faults) -> None:
    (fault,) = faults_of("a = " + "9" * 5000)

    assert fault.startswith("ops.toml: the file is not TOML: Exceeds the limit")


def test_one_fault_is_one_line() -> None:
    error = faults.WrongSettings([faults.Fault("ops.toml", 3, "app.name", "is missing")])

    assert error.what == "ops.toml:3: app.name is missing"
    assert error.hint == "correct it, then: inv config.check"
    assert error.exit_code == 3


def test_several_faults_have_a_header_and_stand_in_the_order_of_the_file() -> None:
    one = faults.Fault("ops.toml", 12, "app.name", "is missing")
    two = faults.Fault("ops.toml", 3, "python", "must be a table, not text")
    three = faults.Fault("", 0, "DRY_RUN", "is neither true nor false")

    assert faults.WrongSettings([one, two, one, three]).what == (
        "3 settings are wrong\n"
        "  DRY_RUN is neither true nor false\n"
        "  ops.toml:3: python must be a table, not text\n"
        "  ops.toml:12: app.name is missing"
    )


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("comand", ["command", "port"], ", did you mean 'command'?"),
        ("ops_formt", ["OPS_FORMAT"], ", did you mean 'OPS_FORMAT'?"),
        ("prod", ["preview", "production"], ", did you mean 'production'?"),
        ("zzz", ["command"], ""),
        ("", ["command"], ""),
        (3, ["command"], ""),
        ("x" * 100_000, ["command"], ""),
        ("command", [], ""),
    ],
)
def test_the_nearest_word_is_offered(word: object, choices: list[str], expected: str) -> None:
    assert faults.did_you_mean(word, choices) == expected


@pytest.mark.parametrize(
    ("choices", "expected"),
    [(["a"], "'a'"), (["a", "b"], "'a' or 'b'"), (["a", "b", "c"], "'a', 'b' or 'c'")],
)
def test_choices_are_listed(choices: list[str], expected: str) -> None:
    assert faults.one_of(choices) == expected


def test_a_kind_of_error_without_own_words_keeps_those_of_the_library() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(bytes).validate_python(3)

    (error,) = caught.value.errors()
    assert faults.describe(error, Environment) == "Input should be a valid bytes"
