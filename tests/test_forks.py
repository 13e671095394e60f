"""A command as a fork is what it would be as a new process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import psutil
import pytest

from tests.support import forks
from tests.support.local import eventually
from tests.support.places import ROOT, clean_variables

PROBE = {"FAULT_TASKS": "tests.support.probe"}
STATE = """
import gc, json, os, signal, sys, tempfile, threading
before = dict(os.environ), sorted(os.listdir("/dev/fd")), os.getcwd()
from tests.support import forkserver
forkserver.preload()
assert (dict(os.environ), sorted(os.listdir("/dev/fd")), os.getcwd()) == before
assert threading.active_count() == 1, threading.enumerate()
assert tempfile.tempdir is None
for number in signal.Signals:
    usual = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
    assert signal.getsignal(number) in usual, number
filled = []
for module in [each for name, each in sys.modules.items() if name.partition(".")[0] == "ops"]:
    for name, value in vars(module).items():
        if callable(getattr(value, "cache_info", None)) and value.cache_info().currsize:
            filled.append(f"{module.__name__}.{name}")
        if name.islower() and name[:1] == "_" != name[1:2] and isinstance(value, (dict, list, set)) and value:
            filled.append(f"{module.__name__}.{name}")
from ops.kernel import guard
assert guard.mode() is guard.Mode.CHANGE
print(*sorted(set(filled)))
"""


def begin(folder: Path, *words: str, module: str = "tests.faults.run", **own: str) -> forks.Process:
    argv = [sys.executable, "-m", module, *words]
    return forks.start(argv, folder, {**clean_variables(), **own})


@pytest.fixture
def held(tmp_path: Path) -> Iterator[forks.Process]:
    """A run that has begun and does not end."""
    process = begin(tmp_path, **PROBE, HOLD="yes")
    assert isinstance(process, forks.Running) and process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def probed(folder: Path, **own: str) -> dict[str, Any]:
    out, err = begin(folder, "--no-dedupe", "Größe \udce9", **PROBE, **own).communicate(timeout=60)
    assert out, err
    found: dict[str, Any] = json.loads(out.splitlines()[0])
    return found


@pytest.mark.parametrize(
    "own", [{"COVERAGE_PROCESS_CONFIG": ""}, {"PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C"}, {}]
)
def test_a_fork_sees_what_a_new_process_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
) -> None:
    forked = probed(tmp_path, **own, SECRET="\udcff one")
    monkeypatch.setattr(forks, "PRELOADED", ())
    assert probed(tmp_path, **own, SECRET="\udcff one") == forked
    assert forked["files"] == [0, 1, 2] and forked["signals"]["SIGINT"] == "default_int_handler"


def test_what_is_imported_beforehand_leaves_nothing_else_behind() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STATE],
        cwd=ROOT,
        env={**clean_variables(), "COVERAGE_PROCESS_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    registered = ["ops.kernel.secrets._schemes", "ops.kernel.steps._registry"]
    assert ran.stdout.split() == registered, ran.stdout + ran.stderr


def test_exit_code_and_outputs(tmp_path: Path) -> None:
    process = begin(tmp_path, "no.such.task", module="ops.program")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert "no.such.task" in err and "inv --list" in err


def test_killed_and_interrupted(tmp_path: Path, held: forks.Process) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        held.communicate(timeout=0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        held.wait(0.01)
    assert held.poll() is None
    other = begin(tmp_path, **PROBE, HOLD="yes")
    assert other.stdout is not None and other.stdout.readline()
    other.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in other.communicate(timeout=60)[1]
    held.kill()
    held.communicate(timeout=60)
    assert (held.returncode, held.wait()) == (-signal.SIGKILL, -signal.SIGKILL)
    assert not psutil.pid_exists(held.pid)


def test_its_number_is_its_own_until_somebody_waited(held: forks.Process) -> None:
    process = psutil.Process(held.pid)
    os.kill(held.pid, signal.SIGTERM)
    assert eventually(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert held.wait(60) == -signal.SIGTERM
    assert not process.is_running()
    held.kill()  # nobody


def test_many_at_the_same_time(tmp_path: Path, held: forks.Process) -> None:
    found: dict[int, str] = {}

    def one(number: int) -> None:
        process = begin(tmp_path, f"no.such.{number}", module="ops.program")
        found[number] = process.communicate(timeout=60)[1]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [f"no.such.{number}'" in found[number] for number in range(12)] == [True] * 12
    assert held.poll() is None


def test_killed_while_somebody_waits(held: forks.Process) -> None:
    waiting = threading.Thread(target=held.wait)
    waiting.start()
    held.kill()
    waiting.join(60)
    assert held.returncode == -signal.SIGKILL


def test_a_reader_that_is_gone_is_told_to_nobody(tmp_path: Path) -> None:
    with begin(tmp_path, "--help", module="ops.program") as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode in (0, 1)


@pytest.mark.parametrize("how", ["ends", "is terminated"])
def test_lines_that_only_a_fork_runs_are_counted(tmp_path: Path, how: str) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    project.mkdir()
    data.mkdir()
    config = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"), data_file=str(data / "x"))
    own = {"COVERAGE_PROCESS_CONFIG": config.config.serialize()}
    for _ in range(2):
        if how == "ends":
            process = begin(project, "config.show", module="ops.program", **own)
        else:
            process = begin(project, **own, **PROBE, HOLD="yes")
            assert process.stdout is not None and process.stdout.readline()
            process.terminate()
        process.communicate(timeout=60)
    files = sorted(data.iterdir())
    assert len(files) == 2, "each has a file of its own"
    for each in files:
        seen = coverage.CoverageData(str(each))
        seen.read()
        lines = {
            Path(name).relative_to(ROOT).as_posix(): seen.lines(name)
            for name in seen.measured_files()
        }
        assert lines["ops/tasks/__init__.py"]
        assert bool(lines["ops/tasks/config.py"]) == (how == "ends")


def test_a_server_ends_with_its_client() -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.support import forks\n"
        "argv = [sys.executable, '-m', 'ops.program', '--version']\n"
        "print(forks.start(argv, Path.cwd(), os.environ).communicate(timeout=60)[0])\n"
        "print(forks._server.cache_info().currsize, end=' ', flush=True)\n"
        "import psutil; print(*[each.pid for each in psutil.Process().children()])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_variables(), text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    version, _, last = ran.stdout.strip().splitlines()
    count, server = last.split()
    assert version.startswith("inv ") and count == "1"
    assert not psutil.pid_exists(int(server))
