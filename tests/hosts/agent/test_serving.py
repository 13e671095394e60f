"""The agent serves questions one after the other, over pipes as a machine has them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.hosts import agent_file
from tests.support.local import eventually
from tests.support.machines import world
from tests.support.served import Served, serving_agent


@pytest.fixture
def served() -> Iterator[Served]:
    with world(), serving_agent() as one:
        yield one


def test_questions_are_answered_one_after_the_other(served: Served) -> None:
    for number in range(3):
        told, _ = served.ask("trial.echo", {"number": number})
        assert told == {"ok": True, "result": {"number": number}}


def test_each_question_has_a_process_of_its_own(served: Served, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    for _ in range(2):
        assert served.ask("trial.work", {"folder": str(tmp_path)})[0]["ok"]
    pids = (tmp_path / "count").read_text().split()
    assert len({*pids, str(served.process.pid)}) == 3


def test_what_a_question_did_not_read_is_not_the_next_one(served: Served) -> None:
    assert served.ask("trial.echo", {}, b"not read" * 50_000)[0]["ok"]
    assert served.ask("trial.echo", {"next": 1})[0]["result"] == {"next": 1}


def test_question_that_is_killed_is_told_and_the_next_one_answered(served: Served) -> None:
    assert served.ask("trial.killed", {}) == ({"ended": "ended by SIGKILL"}, "last words\n")
    assert served.ask("trial.echo", {})[0]["ok"]


def test_agent_ends_with_its_input(served: Served) -> None:
    assert served.process.stdin is not None
    served.process.stdin.close()
    assert served.process.wait(30) == 0


@pytest.mark.parametrize("missing", [1, 5])
def test_question_that_does_not_arrive_whole_is_never_begun(
    served: Served, tmp_path: Path, missing: int
) -> None:
    data = json.dumps({"folder": str(tmp_path)}).encode() + b"\n"
    served.announce("trial.work", len(data))
    served.send(data[:-missing])
    assert served.process.stdin is not None
    served.process.stdin.close()
    assert served.process.wait(30) == 0
    assert not (tmp_path / "count").exists()


def test_agent_without_anybody_who_reads_ends_and_leaves_the_work_to_its_end(
    served: Served, tmp_path: Path
) -> None:
    data = json.dumps({"folder": str(tmp_path)}).encode() + b"\n"
    served.announce("trial.work", len(data))
    served.send(data)
    assert eventually((tmp_path / "count").exists, 30)
    assert served.process.stdout is not None
    served.process.stdout.close()
    assert served.process.wait(30) == 0
    assert not (tmp_path / "finished").exists()
    (tmp_path / "go").touch()
    assert eventually((tmp_path / "finished").exists, 30)


def test_output_that_something_left_behind_holds_open_is_not_waited_for(
    served: Served, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    told, _ = served.ask("trial.work", {"folder": str(tmp_path), "child": True})
    left = int((tmp_path / "child").read_text())
    assert psutil.pid_exists(left)
    os.kill(left, signal.SIGKILL)
    assert told["ok"]


def test_agent_that_does_not_arrive_whole_does_nothing() -> None:
    cut = Served()
    out, err = cut.process.communicate(agent_file.content()[:-1], timeout=30)
    assert (cut.process.returncode, out) == (1, b"")
    assert b"did not arrive whole" in err
