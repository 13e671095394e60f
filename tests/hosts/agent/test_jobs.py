"""Jobs are processes of their own: they are started, watched and ended as a machine does it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.served import serving_agent


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def ask(made: World, verb: str, /, **arguments: Any) -> tuple[dict[str, Any], str]:
    """Run a verb of the agent in a process; return its answer and what it printed for people."""
    with serving_agent() as agent:
        answer, told = agent.ask(verb, {**made.place.arguments(), **arguments})
    return answer.get("result", answer), told


def start(made: World, job: str = "one", /, seconds: float = 0, **more: Any) -> dict[str, Any]:
    arguments = {"verb": "trial.work", "limit": 60, "arguments": {"folder": str(made.folder)}}
    answer, _ = ask(made, "jobs.start", **{**arguments, "id": job, "seconds": seconds, **more})
    return answer


def count(made: World) -> list[int]:
    """Return the process ids of all times that the work was begun."""
    path = made.folder / "count"
    return [int(each) for each in path.read_text().split()] if path.exists() else []


def begun(made: World) -> int:
    """Wait until the work has begun; return its process id."""
    assert eventually(lambda: bool(count(made)))
    return count(made)[0]


def test_job_outlives_who_started_it_and_is_asked_about(made: World) -> None:
    assert start(made)["state"] == "running"
    assert os.getsid(begun(made)) == count(made)[0]
    answer, printed = ask(made, "jobs.wait", id="one", seconds=0)
    assert (answer["state"], printed) == ("running", "begun\n")
    (made.folder / "go").touch()
    answer, printed = ask(made, "jobs.wait", id="one", seconds=30, offset=answer["offset"])
    assert answer["state"] == "done"
    assert answer["answer"] == {"ok": True, "result": {"worked": True}}
    assert printed == "done\n"
    again, printed = ask(made, "jobs.wait", id="one", seconds=30, offset=0)
    assert (again, printed) == (answer, "begun\ndone\n")


def test_same_id_again_is_the_job_that_is_there(made: World) -> None:
    start(made)
    pid = begun(made)
    assert start(made)["state"] == "running"
    (made.folder / "go").touch()
    assert start(made, seconds=30)["state"] == "done"
    assert start(made)["state"] == "done"
    assert count(made) == [pid]


def test_job_whose_start_was_cut_off_is_started(made: World) -> None:
    start(made, "other")
    folder = made.base / "jobs" / "one"
    folder.mkdir()
    (folder / "lock").touch()
    (made.folder / "go").touch()
    assert start(made, seconds=30)["state"] == "done"


def test_job_whose_process_is_gone_without_a_result_is_lost(made: World) -> None:
    start(made)
    os.kill(begun(made), signal.SIGKILL)
    answer, printed = ask(made, "jobs.wait", id="one", seconds=30)
    assert (answer["state"], printed) == ("lost", "begun\n")
    assert start(made)["state"] == "lost"
    assert len(count(made)) == 1


def test_job_that_nobody_started_is_lost(made: World) -> None:
    assert ask(made, "jobs.wait", id="never", seconds=30)[0]["state"] == "lost"


@pytest.mark.parametrize("child", [False, True])
def test_cancelled_job_ends_with_what_it_started(made: World, child: bool) -> None:
    start(made, arguments={"folder": str(made.folder), "child": child})
    pids = [begun(made)]
    if child:
        assert eventually((made.folder / "child").exists)
        pids.append(int((made.folder / "child").read_text()))
    assert ask(made, "jobs.cancel", id="one")[0] == {}
    answer, _ = ask(made, "jobs.wait", id="one", seconds=30)
    assert answer["answer"]["what"] == "trial.work was stopped"
    assert answer["answer"]["why"] == "it was cancelled"
    assert eventually(lambda: not any(map(lives, pids)))


def test_cancelling_a_job_that_has_ended_changes_nothing(made: World) -> None:
    (made.folder / "go").touch()
    before = start(made, seconds=30)
    for job in ("one", "never"):
        assert ask(made, "jobs.cancel", id=job)[0] == {}
    assert start(made) == before


def test_job_ends_at_its_time_limit(made: World) -> None:
    answer = start(made, seconds=30, limit=0.5)
    assert answer["answer"]["kind"] == "failed"
    assert answer["answer"]["why"] == "its time limit is used up"


def test_failure_of_the_verb_is_the_jobs_answer(made: World) -> None:
    answer = start(made, verb="trial.refuse", arguments={"kind": "missing"}, seconds=30)
    assert answer["answer"]["kind"] == "missing"
    answer = start(made, "two", verb="trial.crash", arguments={"words": "oh"}, seconds=30)
    assert answer["answer"]["why"] == "ValueError: oh"
    assert "Traceback" in ask(made, "jobs.wait", id="two", seconds=0)[1]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 101, "a\n"])
def test_id_that_is_no_name_is_refused(made: World, name: str) -> None:
    assert start(made, name)["kind"] == "config"


def test_next_holder_of_the_lease_ends_the_jobs_of_the_one_before(made: World) -> None:
    holder = {"owner": "anna", "task": "deploy", "pid": 1, "started": 1.0, "host": "laptop"}
    taking = {"ttl": 0, "holder": {**holder, "processes": ""}}
    old, _ = ask(made, "lease.acquire", run="old", **taking)
    inner = {"folder": str(made.folder), "lease": {"run": "old", **old}}
    start(made, arguments=inner)
    pid = begun(made)
    ask(made, "lease.acquire", run="old", **taking)
    assert lives(pid)
    ask(made, "lease.acquire", run="new", **taking)
    assert not lives(pid)
    assert ask(made, "jobs.wait", id="one", seconds=0)[0]["answer"]["why"] == "it was cancelled"


def test_folder_of_an_old_job_is_removed(made: World) -> None:
    (made.folder / "go").touch()
    start(made, "old", seconds=30)
    start(made, "new", seconds=30)
    os.utime(made.base / "jobs" / "old", (0, 0))
    start(made, "next", seconds=30)
    assert sorted(each.name for each in (made.base / "jobs").iterdir()) == ["new", "next"]


def test_what_jobs_leave_is_private(made: World) -> None:
    (made.folder / "go").touch()
    start(made, seconds=30)
    folder: Path = made.base / "jobs" / "one"
    assert {each.name for each in folder.iterdir()} == {
        "job.json",
        "lock",
        "output.log",
        "result.json",
    }
    assert made.base.stat().st_mode & 0o777 == 0o700


def lives(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
