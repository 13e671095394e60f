"""What `inv test` finds missing, installs and runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops import bootstrap, testing
from ops.kernel.errors import ConfigurationError, DependencyError

NOX = "/environment/bin/python"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with apt-get alone, and a table of one package that is surely missing."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(testing, "PACKAGES", {"strace": ("strace",)})
    monkeypatch.setattr(bootstrap, "prepare", lambda project, lock: NOX)
    return tmp_path


def test_package_counts_as_there_when_its_program_is_in_path_or_beside_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert testing.missing_packages() == ["strace"]
    monkeypatch.setattr(testing, "PACKAGES", {"strace": ("apt-get", f"{bare.parent}/*")})
    assert testing.missing_packages() == []
    monkeypatch.setenv("PATH", "")
    assert testing.missing_packages() == []


def test_installs_only_when_asked(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert testing.prepare(install=False, sessions=[]).commands == []
    update, install = testing.prepare(install=True, sessions=[]).commands
    assert update[-1] == "update"
    assert install[-2:] == ["--no-install-recommends", "strace"]


def test_not_root_installs_through_sudo_and_says_so_where_there_is_none(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DependencyError) as error:
        testing.prepare(install=True, sessions=[])
    assert error.value.hint == "as root: apt-get install strace"
    shutil.copy(bare / "apt-get", bare / "sudo")
    assert {command[0] for command in testing.prepare(install=True, sessions=[]).commands} == {"sudo"}


def test_without_apt_it_names_the_packages(bare: Path) -> None:
    (bare / "apt-get").unlink()
    with pytest.raises(DependencyError, match="the tests need strace"):
        testing.prepare(install=True, sessions=[])


def test_elsewhere_than_in_the_repository_it_says_where_the_tests_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "PROJECT", str(tmp_path))
    with pytest.raises(ConfigurationError):
        testing.prepare(install=False, sessions=[])


@pytest.mark.parametrize(
    ("chosen", "sessions"), [([], list(testing.SESSIONS)), (["lint", "types"], ["lint", "types"])]
)
def test_runs_the_sessions_and_ends_with_the_code_of_nox(
    bare: Path, chosen: list[str], sessions: list[str]
) -> None:
    ran: list[Sequence[str]] = []

    def execute(command: Sequence[str]) -> int:
        ran.append(command)
        return 7

    said: list[str] = []
    preparation = testing.prepare(install=False, sessions=chosen)
    assert testing.run(preparation, announce=said.append, execute=execute) == 7
    assert ran == [testing.nox_command(NOX, sessions)]
    assert "apt-get install strace" in said[0]


def test_package_that_cannot_be_installed_stops_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    preparation = testing.prepare(install=True, sessions=[])
    with pytest.raises(DependencyError, match="cannot install strace"):
        testing.run(preparation, announce=lambda text: None, execute=lambda command: 100)


def test_nox_that_cannot_be_prepared_is_a_missing_dependency(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(project: str, lock: str) -> str:
        raise bootstrap.Unprepared("no network")

    monkeypatch.setattr(bootstrap, "prepare", prepare)
    preparation = testing.prepare(install=False, sessions=[])
    with pytest.raises(DependencyError, match="no network"):
        testing.run(preparation, announce=lambda text: None, execute=lambda command: 0)
