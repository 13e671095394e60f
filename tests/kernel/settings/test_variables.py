from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import environ as process
from ops.kernel.settings import variables
from ops.kernel.settings.models import Settings

Load = Callable[..., Settings]
Faults = Callable[..., list[str]]

TRUTH = [("true", True), ("True", True), (" YES ", True), ("on", True), ("1", True)]
LEVELS = "must be 'debug', 'info', 'warning' or 'error'"
DATABASE = "'postgresql://', 'postgres://', 'mysql://', 'mysql+pymysql://' or 'mariadb://'"
STATE = "'postgresql://', 'postgres://' or 'postgresql+psycopg://'"
UNTRUTH = [("false", False), ("FALSE", False), ("no", False), ("off", False), ("0", False)]


@pytest.mark.parametrize(("text", "expected"), [*TRUTH, *UNTRUTH, ("", False)])
@pytest.mark.parametrize("name", ["DRY_RUN", "SAFE_MODE"])
def test_yes_and_no_are_read_as_a_person_means_them(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: bool
) -> None:
    assert getattr(load(environ={name: text}).options, name.lower()) is expected

    monkeypatch.setenv(name, text)
    assert process.flag(name) is expected


@pytest.mark.parametrize("text", ["maybe", "2", "y", "-", "truee"])
def test_anything_else_is_a_named_fault(
    faults_of: Faults, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert faults_of(environ={"DRY_RUN": text}) == [
        "DRY_RUN is neither true nor false: write true, false, yes, no, on, off, 1 or 0"
    ]

    monkeypatch.setenv("DRY_RUN", text)
    with pytest.raises(ConfigurationError, match="is neither true nor false"):
        process.flag("DRY_RUN")


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"OPS_FORMT": "json"}, "OPS_FORMT is not a known variable, did you mean 'OPS_FORMAT'?"),
        ({"OPS_ZZZZZZZZ": ""}, "OPS_ZZZZZZZZ is not a known variable"),
        ({"OPS_FORMAT": "jsn"}, "OPS_FORMAT must be 'text' or 'json', not 'jsn', did you mean 'json'?"),
        ({"LOG_LEVEL": "warn"}, f"LOG_LEVEL {LEVELS}, not 'warn', did you mean 'warning'?"),
        ({"OPS_LOG_LEVEL": "9"}, f"OPS_LOG_LEVEL {LEVELS}, not '9'"),
        ({"OPS_HOME": "relative"}, "OPS_HOME must be an absolute path, not 'relative'"),
        ({"OPS_STATE_URL": "mysql://u:secret@h/d"}, f"OPS_STATE_URL must be a URL that starts with {STATE}"),
        ({"DATABASE_URL": "secret"}, f"DATABASE_URL must be a URL that starts with {DATABASE}"),
        ({"REDIS_URL": "http://h"}, "REDIS_URL must be a URL that starts with 'redis://' or 'rediss://'"),
        ({"SUPABASE_URL": "h"}, "SUPABASE_URL must be a URL that starts with 'https://' or 'http://'"),
        ({"SUPABASE_ANON_KEY": "abc"}, "SUPABASE_ANON_KEY has fewer than 6 characters, too few to be hidden in output"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_without_showing_a_secret(
    faults_of: Faults, environ: dict[str, str], fault: str
) -> None:
    assert faults_of(environ=environ) == [fault]


def test_every_variable_reaches_its_option(load: Load, tmp_path: Path) -> None:
    given = {
        "DRY_RUN": "yes",
        "SAFE_MODE": "on",
        "LOG_LEVEL": "ERROR",
        "OPS_FORMAT": "json",
        "OPS_ACTOR": "anna",
        "OPS_HOME": str(tmp_path),
        "OPS_STATE_URL": "postgresql://db/state",
        "OPS_STATE_ADMIN_URL": "postgresql://owner@db/state",
        "DATABASE_URL": "postgres://db/shop",
        "REDIS_URL": "rediss://cache/0",
        "SUPABASE_URL": "https://x.supabase.co",
        "SUPABASE_ANON_KEY": "anonymous-key",
        "SUPABASE_SERVICE_KEY": "service-key",
    }

    found = load(environ=given)

    options = found.options
    secret = {
        key: value.get_secret_value() for key, value in options if isinstance(value, SecretStr)
    }
    assert secret == {
        "state_url": "postgresql://db/state",
        "state_admin_url": "postgresql://owner@db/state",
        "database_url": "postgres://db/shop",
        "redis_url": "rediss://cache/0",
        "supabase_url": "https://x.supabase.co",
        "supabase_anon_key": "anonymous-key",
        "supabase_service_key": "service-key",
    }
    assert (options.dry_run, options.safe_mode, options.log_level) == (True, True, "error")
    assert (options.format, options.actor, options.home) == ("json", "anna", tmp_path)
    assert "anonymous-key" not in repr(found) + str(found) + found.model_dump_json(
        include={"options"}
    )
    assert str(found.sources["options.dry_run"]) == "variable DRY_RUN"


def test_the_variable_with_prefix_wins(load: Load) -> None:
    found = load(environ={"OPS_LOG_LEVEL": "debug", "LOG_LEVEL": "error"})

    assert found.options.log_level == "debug"
    assert found.sources["options.log_level"].where == "OPS_LOG_LEVEL"


def test_without_variables_options_are_empty(load: Load) -> None:
    assert load(environ={"PATH": "/bin", "DATABASE_URL": " "}).options.model_dump() == {
        "log_level": "",
        "dry_run": False,
        "safe_mode": False,
        "format": "text",
        "actor": "",
        **dict.fromkeys(
            (
                "home",
                "state_url",
                "state_admin_url",
                "database_url",
                "redis_url",
                "supabase_url",
                "supabase_anon_key",
                "supabase_service_key",
            )
        ),
    }


def test_variables_of_the_process_are_used(monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    from ops.kernel import settings

    load()
    monkeypatch.setenv("OPS_ACTOR", "berta")

    assert settings.load().options.actor == "berta"


def test_every_variable_with_our_prefix_that_the_code_names_is_known() -> None:
    known = {each.name for each in variables.VARIABLES}
    named: dict[str, str] = {}
    for file in Path(variables.__file__).parents[2].rglob("*.py"):
        for name in re.findall(r"[\"'](OPS_[A-Z_]+)[\"']", file.read_text()):
            named[name] = file.name

    assert {name: file for name, file in named.items() if name not in known} == {}
