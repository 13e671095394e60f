"""What `inv test` finds missing, installs and runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops import bootstrap, testing
from ops.hosts import runner
from ops.kernel.errors import ConfigurationError, DependencyError

ROOT = Path(__file__).resolve().parents[1]
NOXFILE = """\
import nox
@nox.session(venv_backend="none")
def good(session): print("good ran")
@nox.session(venv_backend="none")
def bad(session): session.error("bad ran")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another project's folder, with two sessions and no lock."""
    (tmp_path / "noxfile.py").write_text(NOXFILE)
    monkeypatch.setattr(bootstrap, "PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with apt-get alone, and a table of one package that is surely missing."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(testing, "PACKAGES", {"strace": ("strace",)})
    monkeypatch.setattr(testing, "PLUGINS", ())
    return tmp_path


def test_package_counts_as_there_when_its_program_is_in_path_or_beside_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert testing.missing_packages() == ["strace"]
    monkeypatch.setattr(testing, "PACKAGES", {"strace": ("apt-get", f"{bare.parent}/*")})
    assert testing.missing_packages() == []
    monkeypatch.setenv("PATH", "")
    assert testing.missing_packages() == []


def test_plugin_counts_as_there_where_docker_looks_for_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "PLUGINS", ("docker-buildx", "docker-compose"))
    monkeypatch.setattr(testing, "PLUGIN_FOLDERS", ("~/none", str(bare)))
    monkeypatch.setenv("HOME", str(bare))
    (bare / "cli-plugins").mkdir()
    (bare / "cli-plugins/docker-buildx").touch()
    assert testing.missing_plugins() == ["docker-compose"]
    (bare / "docker-compose").touch()  # version 1, which is no plug-in
    assert testing.missing_plugins() == ["docker-compose"]


def test_plugins_come_by_the_script_of_the_repository(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(testing, "PLUGINS", ("docker-buildx",))
    monkeypatch.setattr(testing, "PLUGIN_FOLDERS", ())
    script = str(ROOT / testing.PLUGIN_SCRIPT)
    assert os.access(script, os.X_OK)
    _update, install, plugins = testing.prepare(install=True, sessions=[]).commands
    assert (install[-1], plugins) == ("strace", [script])
    assert testing.by_hand(["strace", "docker-buildx"]) == f"apt-get install strace && {script}"
    assert testing.install_commands(["docker-buildx"])[1:] == [[script]]


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
    assert {command[0] for command in testing.prepare(install=True, sessions=[]).commands} == {
        "sudo"
    }


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
def test_runs_the_sessions_that_were_chosen_else_all(
    bare: Path, chosen: list[str], sessions: list[str]
) -> None:
    assert testing.prepare(install=False, sessions=chosen).sessions == tuple(sessions)


def test_package_that_cannot_be_installed_stops_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    preparation = testing.prepare(install=True, sessions=[])
    with pytest.raises(DependencyError, match="cannot install strace"):
        testing.run(preparation, announce=lambda text: None, execute=lambda command: 100)


def test_nox_that_cannot_be_prepared_is_a_missing_dependency(project: Path) -> None:
    preparation = testing.prepare(install=False, sessions=[])
    with pytest.raises(DependencyError, match="is missing"):
        testing.run(preparation, announce=lambda text: None, execute=lambda command: 0)


@pytest.mark.integration
def test_output_and_code_of_nox_are_those_of_the_run(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "PACKAGES", {"strace": ("no-such-program",)})
    monkeypatch.setattr(testing, "PLUGINS", ())
    (project / "requirements").mkdir()
    shutil.copy(ROOT / "requirements/nox.txt", project / "requirements")
    said: list[str] = []
    for session, code in (("good", 0), ("bad", 1)):
        preparation = testing.prepare(install=False, sessions=[session])
        assert testing.run(preparation, announce=said.append, execute=runner.foreground) == code
        output = "".join(capfd.readouterr())
        assert f"{session} ran" in output
    assert "apt-get install strace" in said[0]


def test_tests_that_failed_are_known_when_the_sessions_have_ended(project: Path) -> None:
    assert testing.failed() == []
    (project / "test_it.py").write_text("def test_good(): pass\ndef test_bad(): assert 0\n")
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=project, check=False)
    assert ran.returncode == 1
    assert testing.failed() == ["test_it.py::test_bad"]
