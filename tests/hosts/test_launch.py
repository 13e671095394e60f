from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops.hosts import launch, orphans
from tests.support.local import Project, eventually, lives

SLEEP = ("sleep", "600")


def start(folder: Path, argv: tuple[str, ...], cwd: str = "") -> subprocess.Popen[bytes]:
    service = {
        "argv": argv,
        "cwd": cwd or str(folder),
        "environment": {"PATH": os.environ["PATH"], launch.VARIABLE: f"{folder}:web"},
        "stop_signal": "TERM",
    }
    path = folder / "web.json"
    path.write_text(json.dumps(service))
    command = [sys.executable, "-I", launch.__file__, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def left_over(folder: Path, *argv: str, program: str = "web") -> psutil.Popen:
    marked = {"PATH": os.environ["PATH"], launch.VARIABLE: f"{folder}:{program}"}
    return psutil.Popen(argv or SLEEP, env=marked)


def test_becomes_the_program_with_exactly_its_environment(tmp_path: Path) -> None:
    output, errors = start(tmp_path, ("env",)).communicate(timeout=10)
    expected = {f"PATH={os.environ['PATH']}", f"{launch.VARIABLE}={tmp_path}:web"}
    # The measurement of coverage follows its processes by a variable.
    found = {line for line in output.decode().split() if not line.startswith("COVERAGE_")}
    assert found - {"LC_CTYPE=C.UTF-8"} == expected
    assert errors == b""


def test_keeps_its_process_id(tmp_path: Path) -> None:
    process = start(tmp_path, ("sh", "-c", "echo $$; pwd"))
    output, _ = process.communicate(timeout=10)
    assert output.decode().split() == [str(process.pid), str(tmp_path)]


def test_ends_left_overs_of_its_program_and_no_other(tmp_path: Path) -> None:
    mine, other = left_over(tmp_path), left_over(tmp_path, program="website")
    output, _ = start(tmp_path, ("echo", "started")).communicate(timeout=10)
    assert output == b"started\n"
    assert not lives(mine)
    assert lives(other)
    for each in (mine, other):
        each.kill()
        each.wait()


def test_kills_a_left_over_that_ignores_its_signal(tmp_path: Path) -> None:
    deaf = left_over(tmp_path, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    time.sleep(0.3)
    begin = time.monotonic()
    output, _ = start(tmp_path, ("echo", "started")).communicate(timeout=20)
    assert output == b"started\n"
    assert not lives(deaf)
    assert time.monotonic() - begin < launch.GRACE + 5
    deaf.wait()


@pytest.mark.parametrize(
    ("program", "folder", "message"),
    [
        ("no-such-program", "/", "cannot start no-such-program in /: not found in PATH"),
        ("true", "/no/such", "cannot start true in /no/such: No such file"),
    ],
)
def test_says_in_one_line_why_it_cannot_start(
    tmp_path: Path, program: str, folder: str, message: str
) -> None:
    process = start(tmp_path, (program,), folder)
    _, errors = process.communicate(timeout=10)
    assert message in errors.decode()
    assert len(errors.splitlines()) == 1
    assert process.returncode != 0


def test_orphans_are_found_by_home_and_program(made: Project) -> None:
    ours = psutil.Popen(SLEEP, env={orphans.VARIABLE: orphans.marker(made.home, "web")})
    foreign = psutil.Popen(SLEEP, env={orphans.VARIABLE: f"{made.home.path}-other:web"})
    assert eventually(lambda: orphans.find(made.home) == [ours])
    assert orphans.find(made.home, {"web"}) == [ours]
    assert orphans.find(made.home, {"we"}) == []
    assert orphans.end(made.home, {"web"}, lambda _: 15) == 1
    assert orphans.end(made.home, None, lambda _: 15) == 0
    assert lives(foreign)
    for each in (ours, foreign):
        each.kill()
        each.wait()
