from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ops.kernel import redact, settings
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.settings.faults import WrongSettings
from ops.kernel.settings.models import App, Service, Settings

Load = Callable[..., Settings]
Faults = Callable[..., list[str]]

APP = '[app]\nname = "my-shop"\n'
PLACES = (
    '[environments.development]\ntarget = "local"\n'
    '[environments.local]\ntarget = "local"\n'
    '[environments.production]\ntarget = "local"\nprotected = true\nstate = "local"\n'
)
LOCAL = '[environments.local]\ntarget = "local"\n'
NO_DEFAULT = "has no default_environment, and 'development' does not exist"
ONLY = "there is only development, local, production"
DATABASE = '[database]\nengine = "postgres"\n'


def test_defaults_are_those_of_the_reference(load: Load) -> None:
    text = (
        f'{APP}{PLACES}{DATABASE}[services.web]\ncommand = "x {{port}}"\nport = 80\nhealth = "/h"\n'
    )

    found = load(text)

    web = found.services["web"]
    assert (web.route, web.live, web.development) == (("/",), "/h", "x {port}")
    assert (web.stop_timeout, web.directory, web.is_web, web.is_static) == (
        30.0,
        Path("."),
        True,
        False,
    )
    assert found.database is not None and found.database.name == "my_shop"
    assert found.environment.port == 8080 and found.environment.keep_releases == 5
    assert found.app.version_variable == "APP_VERSION"
    assert not found.hooks.before_build and found.python is None


def test_the_file_is_found_from_a_folder_below(load: Load, tmp_path: Path) -> None:
    load()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    found = settings.load(start=below, environ={})

    assert found.folder == tmp_path.resolve()
    assert found.ops_folder == tmp_path.resolve() / ".ops"
    assert found.app_folder == tmp_path.resolve()


def test_a_project_behind_a_link_is_the_same_project(load: Load, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "ops.toml").write_text(APP + PLACES)

    assert settings.load(start=tmp_path / "link", environ={}).folder == tmp_path.resolve() / "real"


def test_without_a_file_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(start=tmp_path, environ={})

    assert caught.value.what == f"no ops.toml in {tmp_path.resolve()} or above it"
    assert caught.value.hint == "go to your project, or write one there: invops init"


def test_a_folder_named_like_the_file_is_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "ops.toml").mkdir()

    with pytest.raises(ConfigurationError, match=r"no ops\.toml in"):
        settings.load(start=tmp_path, environ={})


def test_a_vanished_current_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigurationError, match="cannot find the current folder"):
        settings.load(environ={})


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that nobody can read")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ops.toml").symlink_to("/proc/self/mem")

    with pytest.raises(OpsError, match=r"cannot read .*ops\.toml: Input/output error"):
        settings.load(start=tmp_path, environ={})


def test_the_file_is_shown_absolute_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "ops.toml").write_text("x = 1")

    with pytest.raises(WrongSettings, match=f"{tmp_path.resolve()}/ops.toml:1: x is not"):
        settings.load(start=tmp_path, environ={})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_of_other_editors_are_read(tmp_path: Path, newline: str, mark: bytes) -> None:
    (tmp_path / "ops.toml").write_bytes(mark + (APP + PLACES).replace("\n", newline).encode())

    found = settings.load(start=tmp_path, environ={})

    assert found.sources["app.name"].where.endswith("ops.toml:2")


def test_a_file_in_another_encoding_is_a_fault_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ops.toml").write_bytes(b"[app]\nname = 'caf\xe9'\n")

    with pytest.raises(WrongSettings, match=r"ops\.toml:2: the file is not UTF-8"):
        settings.load(start=tmp_path, environ={})


@pytest.mark.parametrize(
    ("argument", "variable", "written", "name", "source"),
    [
        ("", "", "", "development", "default"),
        ("", "", "local", "local", "ops.toml:3"),
        ("", "production", "local", "production", "variable ENVIRONMENT"),
        ("local", "production", "development", "local", "--env"),
    ],
)
def test_the_environment_is_chosen_by_argument_then_variable_then_default(
    load: Load, argument: str, variable: str, written: str, name: str, source: str
) -> None:
    default = f'default_environment = "{written}"\n' if written else ""

    found = load(APP + default + PLACES, argument, {"ENVIRONMENT": variable})

    assert (found.name, str(found.sources["name"])) == (name, source)
    assert found.environment is found.environments[name]


@pytest.mark.parametrize(
    ("argument", "environ", "text", "fault"),
    [
        ("locl", {}, PLACES, f"--env is 'locl', {ONLY}, did you mean 'local'?"),
        ("x" * 200, {}, PLACES, f"--env is '{'x' * 60}', {ONLY}"),
        ("a\nb", {}, PLACES, f"--env is 'a\\nb', {ONLY}"),
        ("", {"ENVIRONMENT": "prod"}, PLACES, f"ENVIRONMENT is 'prod', {ONLY}, did you mean 'production'?"),
        ("", {}, LOCAL, f"ops.toml:1: app {NO_DEFAULT}: there is only local"),
        ("", {}, f'default_environment = "x"\n{PLACES}', f"ops.toml:3: app.default_environment is 'x', {ONLY}"),
    ],
)  # fmt: skip
def test_an_environment_that_does_not_exist_lists_those_that_do(
    faults_of: Faults, argument: str, environ: dict[str, str], text: str, fault: str
) -> None:
    assert faults_of(APP + text, argument, environ) == [fault]


def test_a_protected_environment_needs_the_state_database_of_the_team(
    load: Load, faults_of: Faults
) -> None:
    text = APP + PLACES.replace('state = "local"\n', "")
    fault = (
        "ops.toml:9: environments.production.protected needs OPS_STATE_URL; "
        'or write state = "local" to keep the journal in .ops/'
    )

    load(text)
    load(text, "production", {"OPS_STATE_URL": "postgresql://db/ops"})
    assert faults_of(text, "production") == [fault]


@pytest.mark.parametrize(
    ("chosen", "environ", "reference", "ignored"),
    [
        ("local", {}, "env:DATABASE_URL", {}),
        ("local", {"ENVIRONMENT": "local"}, "env:DATABASE_URL", {}),
        ("local", {"ENVIRONMENT": "production"}, "", {"DATABASE_URL": "ENVIRONMENT is production, not local"}),
        ("production", {}, "", {"DATABASE_URL": "production is protected"}),
        ("production", {"ENVIRONMENT": "production"}, "", {"DATABASE_URL": "production is protected"}),
    ],
)  # fmt: skip
def test_a_database_url_reaches_only_the_environment_that_it_is_meant_for(
    load: Load, chosen: str, environ: dict[str, str], reference: str, ignored: dict[str, str]
) -> None:
    url = {"DATABASE_URL": "postgresql://host/other"}

    found = load(APP + PLACES + DATABASE, chosen, environ | url)

    assert found.environment.database_url == reference
    assert (found.options.database_url is None) is not bool(reference)
    assert dict(found.ignored) == ignored


def test_a_database_url_changes_nothing_for_an_application_without_database(load: Load) -> None:
    found = load(APP + PLACES, "", {"DATABASE_URL": "postgresql://host/other"})

    assert found.environment.database_url == ""


def test_secrets_in_variables_are_hidden_from_then_on(load: Load) -> None:
    load(
        APP + PLACES,
        "",
        {"DATABASE_URL": "postgresql://u:sesame-open@h/d", "REDIS_URL": "redis://plain-host/0"},
    )

    assert (
        redact.text("password sesame-open of redis://plain-host/0")
        == "password *** of redis://plain-host/0"
    )


def test_settings_cannot_be_changed(load: Load) -> None:
    found: Any = load(f'{APP}{PLACES}[services.a]\ncommand = "x"\nenvironment = {{ A = "b" }}\n')

    for owner, name in ((found, "name"), (found.app, "name"), (found.environment, "port")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(owner, name, "other")
    for mapping in (
        found.services,
        found.environments,
        found.sources,
        found.services["a"].environment,
    ):
        with pytest.raises(TypeError):
            mapping["a"] = "other"


def test_a_model_refuses_an_unknown_field() -> None:
    unknown: Any = {"name": "a", "colour": "red"}

    with pytest.raises(ValidationError, match="Extra inputs"):
        App(**unknown)


def test_a_filled_in_database_name_keeps_one_that_was_given(load: Load) -> None:
    found = load(f'{APP}{PLACES}{DATABASE}name = "books"\n')

    assert found.database is not None and found.database.name == "books"


JUNK = st.recursive(
    st.sampled_from(["", "x", "env:X", "/", "{port}", "..", "\x00"]) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "command"]), inner),
    max_leaves=4,
)  # fmt: skip


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\0", "\\u0000") + '"'
    return str(value).lower()


@given(
    st.dictionaries(st.sampled_from(["app", "python", "services", "environments", "hooks"]), JUNK),
    st.dictionaries(st.sampled_from(list(Service.model_fields)), JUNK, min_size=1),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_ends_in_anything_but_settings_or_faults(
    tmp_path: Path, top: dict[str, Any], service: dict[str, Any]
) -> None:
    lines = [f"{key} = {_toml(value)}" for key, value in top.items()]
    if "services" not in top:
        lines += ["[services.web]", *(f"{key} = {_toml(value)}" for key, value in service.items())]
    for section in ("app", "environments"):
        if section not in top:
            lines += [APP if section == "app" else PLACES]
    (tmp_path / "ops.toml").write_text("\n".join(lines))

    try:
        settings.load(start=tmp_path, environ={})
    except WrongSettings as error:
        assert all(fault.line or "missing" in fault.what for fault in error.faults)
