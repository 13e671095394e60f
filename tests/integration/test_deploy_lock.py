"""Two deploys at once, and who holds the lock."""

from __future__ import annotations

import signal

from tests.support.local import eventually
from tests.support.project import Project

SLOW = '[hooks]\nbefore_switch = ["sleep 5"]\n\n[database]\n'


def test_second_deploy_stops_or_waits(tiny: Project) -> None:
    tiny.edit("ops.toml", "[database]\n", SLOW)
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

    waiting = tiny.deploy("--wait")
    out, err = holder.communicate(timeout=60)
    assert holder.returncode == 0, out + err
    assert waiting.code == 0, waiting.text
    assert "nothing to change" in waiting.text
    assert tiny.get("/health").json["version"] == release
    assert tiny.json("lock.status")["locked"] is False
    assert len([each for each in tiny.json("runs.list")["runs"] if each["state"] == "done"]) == 1


def test_lock_that_is_taken_away_stops_the_run_before_its_next_step(tiny: Project) -> None:
    release = tiny.deployed()
    tiny.edit("ops.toml", "[database]\n", SLOW)
    tiny.commit("a slow hook")
    holder = tiny.start("deploy")
    assert eventually(lambda: "green-web" in str(tiny.processes()), 30)
    assert tiny.run("lock.release", "--yes").code == 0
    out, err = holder.communicate(timeout=60)
    assert holder.returncode == 1
    assert "was taken away" in out + err
    assert tiny.get("/health").json["version"] == release
    assert tiny.deploy().code == 0


def test_dead_holder_does_not_block(tiny: Project) -> None:
    tiny.edit("ops.toml", "[database]\n", SLOW)
    tiny.commit("a slow hook")
    holder = tiny.start("deploy")
    assert eventually(lambda: "blue-web" in str(tiny.processes()), 30)
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=10)
    assert tiny.json("lock.status")["locked"] is False
    assert "is not locked" in tiny.run("lock.release").text
    assert tiny.deploy().code == 0
