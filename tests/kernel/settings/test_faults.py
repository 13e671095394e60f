"""Wrong files, with the exact message for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import TypeAdapter, ValidationError

from ops.kernel.settings import faults
from ops.kernel.settings.models import Environment

Faults = Callable[..., list[str]]

END = '[environments.development]\ntarget = "local"\n'
APP = f'[app]\nname = "shop"\n{END}'  # four lines: a fault of what follows is in line 5 or later
WEB = '[services.web]\ncommand = "serve {port}"\nport = 8000\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ops.toml: [app] is missing|ops.toml: [environments.NAME] is missing"),
        (f"[app]\n{END}", "ops.toml:1: app.name is missing"),
        (f"app = 3\n{END}", "ops.toml:1: app must be a table, not a number"),
        ('[app]\nname = "a"\n[environments]', "ops.toml: [environments.NAME] is missing"),
        ('environments = 3\n[app]\nname = "a"', "ops.toml:1: environments must be tables: [environments.NAME]"),
        (f"{APP}[enviroments.x]", "ops.toml:5: enviroments is not a known section, did you mean 'environments'?"),
        (f"{APP}[zzz]", "ops.toml:5: zzz is not a known section"),
        (f"{APP}[services]\nweb = 3", "ops.toml:6: services.web must be a table, not a number"),
        (f'{APP}[services."A B"]\ncommand = "x"', "ops.toml:5: services.'A B' is not a good name: it must be a lower-case letter, then at most 30 lower-case letters, digits or '-'"),
        (f'{APP}[environments.Prod]\ntarget = "local"', "ops.toml:5: environments.Prod is not a good name: it must be a lower-case letter, then at most 30 lower-case letters, digits or '-'"),
        (f'{APP}{WEB}comand = "x"', "ops.toml:8: services.web.comand is not a known key, did you mean 'command'?"),
        (f'{APP}{WEB}zzz = "x"', "ops.toml:8: services.web.zzz is not a known key"),
        (f'[app]\nname = "My Shop"\n{END}', "ops.toml:2: app.name must be a lower-case letter, then at most 30 lower-case letters, digits or '-', not 'My Shop'"),
        (f'[app]\nname = "{"a" * 32}"\n{END}', f"ops.toml:2: app.name must be a lower-case letter, then at most 30 lower-case letters, digits or '-', not '{'a' * 32}'"),
        (f"[app]\nname = 1\n{END}", "ops.toml:2: app.name must be text in quotes, not a number"),
        (f"{APP}[python]", "ops.toml:5: python.requirements is missing"),
        (f"{APP}[python]\nrequirements = 1979-05-27", "ops.toml:6: python.requirements must be text in quotes, not a date"),
        (f'{APP}[python]\nrequirements = " "', "ops.toml:6: python.requirements must not be empty"),
        (f'{APP}[services.web]\ncommand = ["x"]', "ops.toml:6: services.web.command must be text in quotes, not a list"),
        (f'{APP}[services.web]\ncommand = "x \'y"', "ops.toml:6: services.web.command has an open quote"),
        (f'{APP}[services.web]\ncommand = ""', "ops.toml:6: services.web.command must not be empty"),
        (f'{APP}[services.web]\ncommand = "\'\'"\nbuild = ["a && b"]', "ops.toml:7: services.web.build[0] runs without a shell, '&&' needs one: sh -c \"...\""),
        (f'{APP}[services.web]\ncommand = "a\\u0000b"', "ops.toml:6: services.web.command must not contain a NUL character"),
        (f'{APP}[services.web]\ncommand = "A=1 run"', "ops.toml:6: services.web.command runs without a shell: write env A=... before it"),
        (f'{APP}{WEB}build = "make"', "ops.toml:8: services.web.build must be a list, not text"),
        (f'{APP}{WEB}build = [\n"make",\n3]', "ops.toml:10: services.web.build[1] must be text in quotes, not a number"),
        (f'{APP}{WEB}route = ["api"]', "ops.toml:8: services.web.route[0] must be a path prefix such as \"/api\", not 'api'"),
        (f'{APP}{WEB}health = "/a b"', "ops.toml:8: services.web.health must be a path prefix such as \"/api\", not '/a b'"),
        (f'{APP}[services.w]\ncommand = "x"\nport = "80"', "ops.toml:7: services.w.port must be a whole number, not text"),
        (f'{APP}[services.w]\ncommand = "x"\nport = true', "ops.toml:7: services.w.port must be a whole number, not true or false"),
        (f'{APP}[services.w]\ncommand = "x"\nport = 0', "ops.toml:7: services.w.port must be at least 1, not 0"),
        (f'{APP}[services.w]\ncommand = "x"\nport = 65536', "ops.toml:7: services.w.port must be at most 65535, not 65536"),
        (f'{APP}{WEB}stop_timeout = "1d"', "ops.toml:8: services.web.stop_timeout must be a duration such as \"35s\", \"2m\" or 30 (seconds), not '1d'"),
        (f"{APP}{WEB}stop_timeout = true", 'ops.toml:8: services.web.stop_timeout must be a duration such as "35s", "2m" or 30 (seconds), not True'),
        (f"{APP}{WEB}stop_timeout = 0", 'ops.toml:8: services.web.stop_timeout must be above 0 and at most "24h", not 0'),
        (f"{APP}{WEB}stop_timeout = nan", 'ops.toml:8: services.web.stop_timeout must be above 0 and at most "24h", not nan'),
        (f"{APP}{WEB}stop_timeout = inf", 'ops.toml:8: services.web.stop_timeout must be above 0 and at most "24h", not inf'),
        (f'{APP}{WEB}stop_timeout = "25h"', "ops.toml:8: services.web.stop_timeout must be above 0 and at most \"24h\", not '25h'"),
        (f"{APP}{WEB}environment = 1", "ops.toml:8: services.web.environment must be a table, not a number"),
        (f"{APP}{WEB}environment = {{ A = 1 }}", "ops.toml:8: services.web.environment.A must be text in quotes, not a number"),
        (f'{APP}{WEB}environment = {{ "a-b" = "1" }}', "ops.toml:8: services.web.environment.a-b must be a variable's name (letters, digits, '_'), not 'a-b'"),
        (f'{APP}[database]\nengine = "mysql"', "ops.toml:6: database.engine must be 'postgres', not 'mysql'"),
        (f'{APP}[database]\nengine = "postgress"', "ops.toml:6: database.engine must be 'postgres', not 'postgress', did you mean 'postgres'?"),
        (f'{APP}[database]\nengine = "postgres"\nname = "a-b"', "ops.toml:7: database.name must be a lower-case letter, then at most 29 lower-case letters, digits or '_', not 'a-b'"),
        (f'{APP}level = "wirte"', "ops.toml:5: environments.development.level must be 'read', 'write' or 'admin', not 'wirte', did you mean 'write'?"),
        (f"{APP}level = 3", "ops.toml:5: environments.development.level must be 'read', 'write' or 'admin', not a number"),
        (f'{APP}state = "here"', "ops.toml:5: environments.development.state must be 'local', not 'here'"),
        (f'{APP}protected = "yes"', "ops.toml:5: environments.development.protected must be true or false, not text"),
        (f"{APP}keep_releases = 0", "ops.toml:5: environments.development.keep_releases must be at least 1, not 0"),
        (f"{APP}keep_releases = 2.5", "ops.toml:5: environments.development.keep_releases must be a whole number, not a number"),
        (f"{APP}[environments.x]", "ops.toml:5: environments.x.target is missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_line(faults_of: Faults, text: str, fault: str) -> None:
    assert "|".join(faults_of(text)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[app]\nname = \n", "ops.toml:2: the file is not TOML: Invalid value (column 8)"),
        ("[app]\nname = 'x", "ops.toml:2: the file is not TOML: Expected \"'\" (at the end of the file)"),
        ("[app]\nx = 1\nx = 2\n", "ops.toml:3: the file is not TOML: Cannot overwrite a value (column 6)"),
        ("[app]\n[app]\n", "ops.toml:2: the file is not TOML: Cannot declare ('app',) twice (column 5)"),
        ("name: shop\n", "ops.toml:1: the file is not TOML: Expected '=' after a key in a key/value pair (column 5)"),
    ],
)  # fmt: skip
def test_what_is_not_toml_is_named_with_its_line(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [fault]


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
        ("zzz", ["command"], ""),
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
