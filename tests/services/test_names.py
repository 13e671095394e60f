"""Which environment and which services a person means."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.kernel.errors import ConfigurationError
from ops.services import names

OPS_TOML = """
[app]
name = "sample"
default_environment = "local"
[environments.local]
target = "local"
"""
DEVELOPMENT = '[environments.development]\ntarget = "local"\n'


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        ("", "", "development"),
        ("local", "", "local"),
        ("development", "", "development"),
        ("", "local", "local"),
        ("development", "local", "development"),
    ],
)
def test_without_env_development_is_meant_whatever_the_default_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, variable: str, expected: str
) -> None:
    (tmp_path / "ops.toml").write_text(OPS_TOML + DEVELOPMENT)
    monkeypatch.chdir(tmp_path)
    if variable:
        monkeypatch.setenv("ENVIRONMENT", variable)
    found = names.settings_of(option)
    assert found.name == expected
    assert names.is_development(found) is (expected == "development")


def test_missing_development_environment_says_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops.toml").write_text(OPS_TOML)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        names.settings_of("")
    assert "ops.toml has no [environments.development]" in caught.value.what
    assert "--env local" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "expected"),
    [([], ["a"]), (["b"], ["b"]), (["b", "a", "b"], ["b", "a"])],
)
def test_chosen_services(asked: list[str], expected: list[str]) -> None:
    assert names.chosen(asked, ["a", "b"], ["a"]) == expected


def test_unknown_service_among_none() -> None:
    with pytest.raises(ConfigurationError) as caught:
        names.chosen(["x"], [], [])
    assert caught.value.why == "ops.toml describes none"
