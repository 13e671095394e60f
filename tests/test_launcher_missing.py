"""`./inv` where something is missing: one line that says what to do, exit 2, no traceback."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pip
import pytest

from ops import bootstrap
from tests.launcher import answer, launch, make_project, refusal


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


@pytest.fixture
def python_of_debian(tmp_path: Path) -> Path:
    """This Python without ensurepip and pip, as Debian ships it without python3-venv."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = tmp_path / "usr/lib" / version
    library.mkdir(parents=True)
    for entry in (Path(sys.base_prefix) / "lib" / version).iterdir():
        if entry.name not in ("ensurepip", "site-packages", "dist-packages"):
            (library / entry.name).symlink_to(entry)
    (library / "site-packages").mkdir()
    program = tmp_path / "usr/bin/python3"
    program.parent.mkdir()
    shutil.copy(Path(sys.base_prefix) / "bin" / version, program)
    return program


def folder_of(path: Path, *programs: str | Path) -> Path:
    """Make a folder for PATH that has these programs only."""
    path.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found
        (path / Path(program).name).symlink_to(found)
    return path


def test_no_python(project: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "bin", "git")
    line = refusal(launch(project, INVOPS_PYTHON="", PATH=str(folder)))
    assert "Python 3.11 or newer is needed, none is on PATH" in line


def test_old_python_is_passed_over(project: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "bin", "git")
    old = folder / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what it answers to the question for its version
    old.chmod(0o755)
    line = refusal(launch(project, INVOPS_PYTHON="", PATH=str(folder)))
    assert "the one on PATH is older" in line
    shutil.copy(old, tmp_path / "old")
    assert "INVOPS_PYTHON" in refusal(launch(project, INVOPS_PYTHON=str(tmp_path / "old")))


def test_no_git(project: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert "git is needed" in refusal(launch(project, PATH=str(tmp_path / "bin")))


def test_no_venv_module(project: Path, python_of_debian: Path) -> None:
    line = refusal(launch(project, INVOPS_PYTHON=str(python_of_debian)))
    assert "venv module is missing" in line
    assert "python3-venv" in line


@pytest.mark.integration
def test_no_venv_module_but_the_systems_pip(project: Path, python_of_debian: Path) -> None:
    site = next(python_of_debian.parents[1].glob("lib/python3*")) / "site-packages"
    (site / "pip").symlink_to(Path(pip.__file__).parent)
    result = launch(project, INVOPS_PYTHON=str(python_of_debian))
    assert list(Path(answer(result)["prefix"]).glob("lib/*/site-packages/iniconfig"))


def test_no_lock(project: Path) -> None:
    (project / "requirements/invops.txt").unlink()
    assert "git checkout" in refusal(launch(project))


@pytest.mark.integration
def test_no_network(project: Path) -> None:
    started = time.monotonic()
    index = "http://127.0.0.1:9/"
    result = launch(project, PIP_INDEX_URL=index, PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="")
    line = refusal(result)
    assert "package index cannot be reached" in line
    assert time.monotonic() - started < 60


@pytest.mark.integration
def test_package_that_is_not_the_locked_one(project: Path) -> None:
    lock = project / "requirements/invops.txt"
    first = lock.read_text().split(" \\\n")[0]
    lock.write_text(f"{first} --hash=sha256:{'0' * 64}\n")
    result = launch(project)
    assert result.returncode == 2
    assert "is not the one that" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_folder_that_nobody_may_write_to(project: Path) -> None:
    if not Path("/sys/kernel").exists():
        pytest.skip("needs a file system that refuses root as well: Linux's /sys")
    with pytest.raises(bootstrap.Unprepared, match=r"cannot write to /sys/\.venv"):
        bootstrap.prepare("/sys", str(project / "requirements/invops.txt"))
