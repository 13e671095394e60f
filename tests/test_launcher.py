"""`./inv`: how it prepares the environment and hands over to it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ops import bootstrap
from tests.launcher import LIMIT, answer, environment, launch, locked, make_project

pytestmark = pytest.mark.integration


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def environments(project: Path) -> list[Path]:
    return sorted(path for path in (project / ".venv").iterdir() if path.is_dir())


def wait_for(path: Path, pattern: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not list(path.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_first_use_prepares_the_second_changes_nothing(project: Path) -> None:
    first = launch(project, "deploy", "--ref", "two words")
    assert "Preparing the environment" in first.stderr
    assert answer(first)["arguments"] == ["deploy", "--ref", "two words"]
    (made,) = environments(project)
    assert answer(first)["prefix"] == str(made)
    before = {
        path: path.stat().st_mtime_ns for path in made.rglob("*") if "__pycache__" not in str(path)
    }
    second = launch(project)
    assert answer(second)["prefix"] == str(made)
    assert second.stderr == ""
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_works_from_any_folder_and_through_a_link(project: Path, tmp_path: Path) -> None:
    assert answer(launch(project, cwd=project / "ops"))["cwd"] == str(project / "ops")
    assert answer(launch(project, cwd=tmp_path))["cwd"] == str(project)
    link = tmp_path / "link"
    link.symlink_to(project / "inv")
    result = subprocess.run([link], env=environment(), capture_output=True, text=True, check=False)
    assert answer(result)["prefix"].startswith(str(project))


def test_module_of_the_working_folder_does_not_replace_ours(project: Path) -> None:
    trap = project / "sub"
    (trap / "ops").mkdir(parents=True)
    (trap / "json.py").write_text("raise SystemExit('wrong module')")
    (trap / "ops/program.py").write_text("raise SystemExit('wrong program')")
    assert answer(launch(project, cwd=trap))["cwd"] == str(trap)


def test_changed_lock_makes_a_new_environment_and_removes_the_old(project: Path) -> None:
    old = answer(launch(project))["prefix"]
    (project / "requirements/invops.txt").write_text(locked("iniconfig==", "pluggy=="))
    new = answer(launch(project))["prefix"]
    assert new != old
    assert environments(project) == [Path(new)]
    assert list(Path(new).glob("lib/*/site-packages/pluggy"))


def test_environment_that_a_process_runs_from_stays(project: Path) -> None:
    old = Path(answer(launch(project))["prefix"])
    code = "import time; time.sleep(600)"
    with subprocess.Popen([old / "bin/python", "-c", code]) as daemon:
        try:
            (project / "requirements/invops.txt").write_text(locked("pluggy=="))
            answer(launch(project))
            assert old in environments(project)
        finally:
            daemon.kill()
    (project / "requirements/invops.txt").write_text(locked("iniconfig==", "pluggy=="))
    answer(launch(project))
    assert old not in environments(project)


def test_folders_that_are_not_ours_stay(project: Path) -> None:
    mine = project / ".venv/bin"
    mine.mkdir(parents=True)
    answer(launch(project))
    assert mine.exists()


def test_starts_at_once_prepare_it_once(project: Path) -> None:
    command = [str(project / "inv")]
    starts = [
        subprocess.Popen(
            command,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [start.communicate(timeout=LIMIT) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0]
    assert sum("Preparing" in err for _, err in outputs) == 1
    assert len({json.loads(out)["prefix"] for out, _ in outputs}) == 1


def test_start_after_one_killed_in_the_middle_repairs(project: Path) -> None:
    with subprocess.Popen(
        [str(project / "inv")], env=environment(), stderr=subprocess.DEVNULL
    ) as start:
        wait_for(project, ".venv/*/pyvenv.cfg")
        start.kill()
    assert start.returncode == -signal.SIGKILL
    (half,) = environments(project)
    assert not (half / bootstrap.MARKER).exists()
    assert answer(launch(project))["prefix"] == str(half)


def test_ctrl_c_ends_with_130_and_one_line(project: Path) -> None:
    with subprocess.Popen(
        [str(project / "inv")], env=environment(), stderr=subprocess.PIPE, text=True
    ) as start:
        wait_for(project, ".venv/*/pyvenv.cfg")
        start.send_signal(signal.SIGINT)
        _, errors = start.communicate(timeout=LIMIT)
    assert start.returncode == 130
    assert "interrupted" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_moved_project_gets_a_new_environment(project: Path) -> None:
    answer(launch(project))
    moved = project.rename(project.with_name("moved"))
    assert answer(launch(moved))["prefix"].startswith(str(moved))


def test_pip_settings_for_another_place_do_not_matter(project: Path, tmp_path: Path) -> None:
    result = launch(project, PIP_TARGET=str(tmp_path / "elsewhere"), PIP_USER="1")
    assert list(Path(answer(result)["prefix"]).glob("lib/*/site-packages/iniconfig"))
