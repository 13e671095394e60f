"""Two deploys at once, and who holds the lock."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.local import eventually
from tests.support.project import Project

HOOK = """
[hooks]
before_switch = ["sh -c 'for n in $(seq 600); do [ -e FLAG ] && exit; sleep 0.1; done'"]

[database]
"""


@pytest.fixture
def flag(tiny: Project) -> Path:
    """A deploy waits before its switch until this file is there."""
    path = tiny.folder.parent / "go-on"
    tiny.edit("ops.toml", "[database]\n", HOOK.replace("FLAG", str(path)))
    return path


def test_second_deploy_stops_or_waits(tiny: Project, flag: Path) -> None:
    release = tiny.commit("a slow hook")
    holder = tiny.start("deploy")
    assert eventually(lambda: bool(tiny.json("lock.status").get("locked")), 30)

    status = tiny.run("lock.status")
    assert f"process {holder.pid}" in status.text or str(holder.pid) in status.text
    assert "alive" in status.text and "deploy" in status.text

    second = tiny.deploy()
    assert second.code == 1
    assert f"{tiny.environment} is locked by" in second.text
    assert f"process {holder.pid}" in second.text and "--wait" in second.text

    asked = tiny.run("lock.release")
    assert asked.code == 3
    assert "confirm" in asked.text

    third = tiny.start("deploy", "--wait")
    assert third.stderr is not None
    assert "waiting up to" in third.stderr.readline()
    flag.touch()
    for process in (holder, third):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    assert "nothing to change" in out
    assert tiny.get("/health").json["version"] == release
    assert tiny.json("lock.status")["locked"] is False
    assert len([each for each in tiny.json("runs.list")["runs"] if each["state"] == "done"]) == 1


def test_lock_that_is_taken_away_stops_the_run_before_its_next_step(
    tiny: Project, flag: Path
) -> None:
    flag.touch()
    release = tiny.deployed()
    flag.unlink()
    tiny.commit("a slow hook")
    holder = tiny.start("deploy")
    assert eventually(lambda: "green-web" in str(tiny.processes()), 120)
    assert tiny.run("lock.release", "--yes").code == 0
    flag.touch()
    out, err = holder.communicate(timeout=60)
    assert holder.returncode == 1
    assert "was taken away" in out + err
    assert tiny.get("/health").json["version"] == release
    assert tiny.deploy().code == 0


def test_dead_holder_does_not_block(tiny: Project, flag: Path) -> None:
    tiny.commit("a slow hook")
    holder = tiny.start("deploy")
    assert eventually(lambda: "blue-web" in str(tiny.processes()), 120)
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=10)
    assert tiny.json("lock.status")["locked"] is False
    assert "is not locked" in tiny.run("lock.release").text
    flag.touch()
    assert tiny.deploy().code == 0
