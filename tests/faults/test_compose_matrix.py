"""Every step of a Compose deploy's plan x every fault: old or new version serves, and the same deploy again is enough.

The steps come from the plan, so a new one is here by itself. A killed run is followed by the same deploy, harmed one
moment later: each run proves that the one before left nothing in its way.

With INVOPS_FAULTS=full each fault is followed by a deploy that goes through, and there are more moments.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.faults.hosted import PATIENCE, Hosted, answers_again, hosted
from tests.faults.lanes import FULL, assert_clear
from tests.support.docker.engine import docker
from tests.support.docker.hosts import hosts
from tests.support.local import eventually
from tests.support.places import place
from tests.support.project import Ran, finish

pytestmark = [pytest.mark.usefixtures("docker_engine"), pytest.mark.timeout(1800)]
DISK = 24_000_000
KILLED, TERMINATED = -9, 143
BRIEF = ("prepare:", "switch:")
Step = dict[str, Any]


@pytest.fixture(scope="module")
def lane(docker_engine: None) -> Iterator[Hosted]:
    with (
        place() as base,
        hosts(1) as (host,),
        hosted(base, host, disk=DISK) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def steps(lane: Hosted) -> list[Step]:
    lane.change()
    return lane.plan()


def works_on_host(step: Step) -> bool:
    """Say whether a step does its work on the hosts: all of a Compose deploy's own but the build."""
    return bool(re.match(r"deploy\.compose\.(?!images\.build)", step["action"]))


def chosen(steps: Sequence[Step]) -> list[Step]:
    """Return the steps for faults that take long: filling a slot and the switch, or all that work on the host."""
    found = [each for each in steps if works_on_host(each)]
    return found if FULL else [each for each in found if each["id"].startswith(BRIEF)]


def halved(steps: Sequence[Step], first: int) -> Sequence[Step]:
    """Return every other step: a signal and a time limit end a step in the same way."""
    return steps if FULL else steps[first::2]


def moments(steps: Sequence[Step], kind: str, *events: str) -> list[str]:
    return [f"{kind}:step.{event}:{step['id']}" for step in steps for event in events]


def inside(steps: Sequence[Step], kind: str) -> list[str]:
    """Return moments in the middle of the steps that work on the host."""
    offsets = ("0.1", "0.3", "0.6", "1", "1.5", "2.5") if FULL else ("0.4",)
    return [
        f"{kind}+{offset}:step.started:{step['id']}"
        for step in steps
        if works_on_host(step)
        for offset in offsets
    ]


def harm(lane: Hosted, faults: Sequence[str], code: int) -> None:
    """Deploy with each fault in turn; a run that came through without its fault is followed by a new version."""
    old, new = lane.serves(), lane.change()
    with lane.probing() as answers:
        for fault in faults:
            began = time.monotonic()
            ran = finish(lane.begin("deploy", "--quiet", fault=fault), PATIENCE)
            timed = "+" in fault
            if ran.code == 0 and not timed:  # there was nothing left to do at this step
                assert lane.serves() == new
                old, new = new, lane.change()
                ran = finish(lane.begin("deploy", "--quiet", fault=fault), PATIENCE)
            assert ran.code == code or (timed and ran.code == 0), f"{fault}: {ran.code} {ran.text}"
            if code != KILLED and ran.code:
                assert_clear(ran, code)
            serves = lane.serves()
            assert serves in (old, new), f"{fault}: {serves or 'nothing'} serves"
            print(f"{fault}: exit {ran.code}, {time.monotonic() - began:.1f} s")
            if FULL:
                through = lane.deploy()
                assert (through.code, lane.serves()) == (0, new), through.text
            if FULL or ran.code == 0:
                old, new = new, lane.change()
        again = lane.deploy()
        assert again.code == 0, again.text
        if (
            "nothing to change" in again.text
        ):  # takes no lock: that of a dead run is for the next change
            new = lane.change()
            again = lane.deploy()
            assert again.code == 0, again.text
    answers.assert_all_good()
    lane.assert_settled(new)


def test_killed_at_each_step(lane: Hosted, steps: list[Step]) -> None:
    harm(lane, moments(steps, "kill", *(("started", "acted") if FULL else ("acted",))), KILLED)


def test_killed_inside_the_steps_that_work_on_the_host(lane: Hosted, steps: list[Step]) -> None:
    harm(lane, inside(steps, "kill"), KILLED)


def test_sigterm_at_each_step(lane: Hosted, steps: list[Step]) -> None:
    later = inside(steps, "SIGTERM") if FULL else []
    harm(lane, [*moments(halved(steps, 0), "SIGTERM", "started"), *later], TERMINATED)


def test_time_limit_of_each_step(lane: Hosted, steps: list[Step]) -> None:
    harm(lane, moments(halved(steps, 1), "expire", "started"), 1)


def test_second_deployer_at_each_step_is_told_who_works(lane: Hosted, steps: list[Step]) -> None:
    new = lane.change()
    stops = 0
    with lane.probing() as answers:
        for _ in lane.stopped(moments(steps, "SIGSTOP", "started")):
            stops += 1
            second = lane.deploy()
            assert_clear(second, 1, "is busy", r"locked by \S+ \(deploy, process \d+\)")
    assert lane.ended.code == 0, lane.ended.text
    assert stops == len(steps)
    answers.assert_all_good()
    lane.assert_settled(new)


def test_proxy_restarted_at_each_step_comes_back_with_the_right_slot(
    lane: Hosted, steps: list[Step]
) -> None:
    old, new = lane.serves(), lane.change()
    switch = next(number for number, each in enumerate(steps) if each["id"].startswith("switch"))
    for number, _ in enumerate(lane.stopped(moments(steps, "SIGSTOP", "started"))):
        lane.host.inside("docker", "restart", "--time=0", f"{lane.project}-invops-proxy-1")
        assert answers_again(lane)
        expected = new if number > switch else old
        # It may not know the addresses yet: what fails during a restart is counted apart.
        seen = {lane.serves() for _ in range(20)} - {""}
        assert seen == {expected}, f"{steps[number]['id']}: {seen} serve"
    assert lane.ended.code == 0, lane.ended.text
    lane.assert_settled(new)


def failed_at(
    lane: Hosted, step: Step, harmful: Callable[[], object], later: str = ""
) -> tuple[Ran, str]:
    """Deploy a new version with harm at a step; return how it ended and the version."""
    new, began = lane.change(), time.monotonic()
    for _ in lane.stopped([f"SIGSTOP{later}:step.started:{step['id']}"]):
        harmful()
    ran = lane.ended
    print(f"{step['id']}: exit {ran.code}, {time.monotonic() - began:.1f} s\n{ran.err}")
    return ran, new


def test_connection_lost_inside_each_step_of_a_host(lane: Hosted, steps: list[Step]) -> None:
    for step in chosen(steps):
        old = lane.serves()
        with lane.probing() as answers:
            ran, new = failed_at(lane, step, lane.host.hang_up, "+0.4")
            assert lane.serves() in (old, new)
            if ran.code:
                assert_clear(ran, 4)
                assert lane.deploy().code == 0
        answers.assert_all_good()
        lane.assert_settled(new)


def test_engine_of_the_host_stopped_at_each_step(lane: Hosted, steps: list[Step]) -> None:
    for step in chosen(steps):
        old = lane.serves()
        # TERM: what a kill does is in tests/integration/test_server_daemon.py.
        ran, new = failed_at(lane, step, lane.host.stop_engine)
        if ran.code:  # the last requests of a slot may end without the engine
            assert_clear(ran, 1, "Docker's engine does not answer")
        lane.host.start_engine()
        assert answers_again(lane), "nothing serves"
        assert lane.serves() in (old, new)
        again = lane.deploy()
        assert again.code == 0, again.text
        lane.assert_settled(new)


def test_disk_of_the_host_full_at_each_step(lane: Hosted, steps: list[Step]) -> None:
    ballast = f"{lane.where}/ballast"
    fill = ("sh", "-c", f"cat /dev/zero > {ballast}")
    for step in chosen(steps):
        old = lane.serves()
        with lane.probing() as answers:
            ran, new = failed_at(lane, step, lambda: lane.host.inside(*fill, check=False))
            lane.host.inside("rm", "--force", ballast)
            assert lane.serves() in (old, new)
            if ran.code:
                assert_clear(ran, 1, "No space left")
            again = lane.deploy()
            assert again.code == 0, again.text
        answers.assert_all_good()
        lane.assert_settled(new)


def test_registry_that_goes_down_stops_a_deploy_before_anything_changes(lane: Hosted) -> None:
    old, new = lane.serves(), lane.change()
    running = lane.begin("deploy", "--quiet")
    label = f"--filter=label=invops.registry={lane.project}"
    assert eventually(lambda: bool(docker("ps", "--quiet", label)), 60)
    docker("rm", "--force", *docker("ps", "--quiet", "--no-trunc", label).split())
    ran = finish(running, PATIENCE)
    assert_clear(ran, 1, "registry|push")
    assert lane.serves() == old
    text = (lane.folder / "ops.toml").read_text(encoding="utf-8")
    lane.put("ops.toml", f'{text}registry = "127.0.0.1:9/small"\n')
    assert_clear(lane.deploy(), 4, "127.0.0.1:9")
    lane.put("ops.toml", text)
    assert lane.serves() == old
    assert lane.deploy().code == 0
    lane.assert_settled(new)
