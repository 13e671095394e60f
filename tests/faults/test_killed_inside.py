"""kill -9 of the deployer inside of a step: its commands, and any other instant."""

from __future__ import annotations

import random
import time

import psutil

from tests.faults.lanes import (
    Lane,
    Lanes,
    assert_dead_run_is_closed,
    assert_migrated_once,
    assert_serves,
)
from tests.faults.prober import probing
from tests.support.local import eventually, lives
from tests.support.project import finish

INSTANTS = 12
HOOK = """[ -e {marker} ] || exit 0
sleep 300 &
echo $! $$ > {marker}
sleep 300
"""


def test_commands_of_a_killed_deploy_are_ended_by_the_next_one(lanes: Lanes) -> None:
    with lanes.one() as lane:
        marker = lane.folder / ".ops" / "slow"
        marker.touch()
        description = (lane.folder / "ops.toml").read_text()
        lane.put("ops.toml", f'{description}\n[hooks]\nbefore_build = ["sh hook.sh"]\n')
        lane.put("hook.sh", HOOK.format(marker=marker))
        new = lane.commit("a hook")
        running = lane.begin("deploy", "--quiet")
        assert eventually(lambda: len(marker.read_text().split()) == 2, 30)
        # Between the start of a command and its record nobody else knows of it.
        assert eventually(lambda: any(each.process_group for each in lane.steps()), 30)
        left = [psutil.Process(int(each)) for each in marker.read_text().split()]
        running.kill()
        finish(running)
        assert all(map(lives, left))
        marker.unlink()
        again = lane.deploy()
        assert again.code == 0, again.text
        assert not any(map(lives, left))
        assert_dead_run_is_closed(lane, again)
        assert_serves(lane, new)
        lane.put("ops.toml", description)
        lane.commit("without it")
        lane.deployed()


def killed_after(lane: Lane, seconds: float) -> None:
    new = lane.change()
    with probing(lane.port) as answers:
        running = lane.begin("deploy", "--quiet")
        time.sleep(seconds)
        running.kill()
        finish(running)
        again = lane.deploy()
        assert again.code == 0, again.text
    answers.assert_all_good()
    assert_serves(lane, new)
    assert_migrated_once(lane)
    assert "running" not in [each.state for each in lane.runs()]


def test_killed_at_any_instant_the_old_release_serves_and_the_next_deploy_converges(
    lanes: Lanes,
) -> None:
    chance = random.Random(3)
    lanes.each([round(chance.uniform(0.2, 3.0), 2) for _ in range(INSTANTS)], killed_after)
