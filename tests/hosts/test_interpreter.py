from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts import access, account, interpreter, runner
from ops.hosts.account import Account
from ops.kernel.errors import DependencyError
from ops.kernel.files import Owner
from tests.support.local import Project, is_root


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    interpreter.find.cache_clear()
    yield
    interpreter.find.cache_clear()


def test_own_base_comes_first_when_nobody_else_needs_it() -> None:
    found = interpreter.find(None)
    assert found.is_relative_to(sys.base_prefix)
    assert found.resolve() == Path(sys.executable).resolve()


@pytest.mark.skipif(not is_root(), reason="only root has a service user")
def test_as_root_the_service_user_can_run_it(made: Project) -> None:
    user = account.ensure(made.context)
    found = interpreter.find(user)
    assert runner.probe(
        [str(found), "-c", "import json, os; print(os.getuid())"], account=user
    ) == str(user.uid if user else "")


@pytest.mark.skipif(not is_root(), reason="only root has a service user")
def test_python_in_a_closed_folder_is_passed_over() -> None:
    stranger = Account("stranger", -1, -1)
    found = interpreter.find(stranger)
    assert access.may_run(found, Owner(-1, -1))


def test_without_any_python_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interpreter, "OLDEST", (99, 0))
    with pytest.raises(DependencyError, match=r"no Python 99\.0 or newer") as caught:
        interpreter.find(None)
    assert caught.value.hint in ("apt-get install -y python3", "brew install python3")
    assert caught.value.exit_code == 2
