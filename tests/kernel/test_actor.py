"""Who runs a task."""

from __future__ import annotations

import getpass
import os

import pytest

from ops.kernel import actor

VARIABLES = ("OPS_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", VARIABLES)
def test_variables_name_whoever_started_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "anna")
    assert actor.current() == f"anna@{actor.host()}"


def test_else_it_is_the_user_of_this_process() -> None:
    assert actor.current() == f"{getpass.getuser()}@{actor.host()}"


@pytest.mark.parametrize("error", [KeyError("no entry"), OSError("no entry")])
def test_a_user_without_a_name_is_a_number(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", unknown)  # as in a container that runs as any number
    assert actor.current() == f"uid{os.geteuid()}@{actor.host()}"
