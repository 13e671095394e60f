"""What a deploy depends on goes away before it or during it; the deployer waits at a moment meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

from ops.hosts import orphans
from ops.hosts.rpc import Client
from tests.faults.lanes import Lane, Lanes, assert_clear, assert_migrated_once, assert_serves
from tests.faults.prober import probing
from tests.support import forks
from tests.support.local import eventually, lives
from tests.support.project import Ran, finish

FAILED = (1, 4)


@contextmanager
def waiting(lane: Lane, moment: str) -> Iterator[forks.Process]:
    """Give a deploy that has stopped itself at a moment; it goes on after the block."""
    running = lane.begin("deploy", "--quiet", fault=f"SIGSTOP:{moment}")
    process = psutil.Process(running.pid)
    assert eventually(lambda: process.status() == psutil.STATUS_STOPPED, 60), finish(running, 1)
    yield running
    process.send_signal(signal.SIGCONT)


def kill(lane: Lane, program: str) -> list[psutil.Process]:
    """Send SIGKILL to all processes of a program; return them."""
    found = [each for each in orphans.find(lane.home, {program}) if lives(each)]
    assert found, program
    for each in found:
        each.kill()
    assert eventually(lambda: not any(map(lives, found)))
    return found


def stop_postgres(lane: Lane) -> None:
    """Let the daemon stop PostgreSQL for good."""
    client = Client(lane.home.sockets / "supervisor.sock")
    client.change("stop PostgreSQL", "stopProcessGroup", "postgres", True)


def assert_converged(
    lane: Lane, ran: Ran, old: str, new: str, codes: Sequence[int] = (0, *FAILED)
) -> None:
    """Assert that a harmed deploy ended well or said why and left the old release, and that the next one converges."""
    assert ran.code in codes, ran.text
    if ran.code:
        assert_clear(ran, ran.code)
        assert eventually(lambda: lane.observed().release == old, 20), lane.observed()
    again = lane.deploy()
    assert again.code == 0, again.text
    assert_serves(lane, new)
    assert_migrated_once(lane)


def test_postgres_that_was_killed_or_stopped_is_brought_up_again(lanes: Lanes) -> None:
    def without(lane: Lane, how: str) -> None:
        old, new = lane.observed().release, lane.change()
        with probing(lane.port) as answers:
            if how == "killed":
                kill(lane, "postgres")
            else:
                stop_postgres(lane)
            ran = lane.deploy()
        answers.assert_all_good()
        assert_converged(lane, ran, old, new, codes=(0,))

    lanes.each(["killed", "stopped"], without)


def test_postgres_goes_away_during_a_deploy(lanes: Lanes) -> None:
    def during(lane: Lane, case: tuple[str, str]) -> None:
        how, step = case
        old, new = lane.observed().release, lane.change()
        with probing(lane.port) as answers:
            with waiting(lane, f"step.started:{step}") as running:
                if how == "killed":
                    kill(lane, "postgres")
                else:
                    stop_postgres(lane)
            ran = finish(running)
        answers.assert_all_good()
        assert_converged(lane, ran, old, new, codes=FAILED if how == "stopped" else (0, *FAILED))

    lanes.each(
        [(how, step) for how in ("killed", "stopped") for step in ("backup", "migrate")], during
    )


@pytest.mark.parametrize("event", ["step.started", "step.acted"])
def test_a_proxy_killed_around_the_switch_comes_back_on_the_right_slot(
    lanes: Lanes, event: str
) -> None:
    def switched(lane: Lane, step: str) -> None:
        old, new = lane.observed().release, lane.change()
        with waiting(lane, f"{event}:{step}") as running:
            kill(lane, f"{lane.environment}-proxy")
        ran = finish(running)
        assert eventually(lambda: lane.observed().proxy, 20)
        assert lane.get("/health").json["version"] == (old if ran.code else new)
        assert_converged(lane, ran, old, new)

    lanes.each(["start", "ready", "switch", "health:switched", "retire"], switched)


def test_a_killed_supervisor_leaves_orphans_that_the_next_deploy_ends(lanes: Lanes) -> None:
    def orphaned(lane: Lane, step: str) -> None:
        new = lane.change()
        with waiting(lane, f"step.started:{step}") as running:
            left = orphans.find(lane.home)
            kill(lane, "supervisord")
        ran = finish(running)
        assert ran.code in (0, *FAILED), ran.text
        if ran.code:
            assert_clear(ran, ran.code)
        again = lane.deploy()
        assert again.code == 0, again.text
        assert_serves(lane, new)
        assert_migrated_once(lane)
        assert not any(map(lives, left))

    lanes.each(["check", "migrate", "start", "switch", "retire", "prune"], orphaned)


def test_no_network_for_pip_leaves_the_old_release(lanes: Lanes) -> None:
    with lanes.one() as lane:
        old, description = lane.observed().release, (lane.folder / "ops.toml").read_text()
        lane.put("requirements.txt", f"nothing==1.0 --hash=sha256:{'0' * 64}\n")
        lane.put("ops.toml", f'{description}\n[python]\nrequirements = "requirements.txt"\n')
        lane.commit("a new lock")
        with probing(lane.port) as answers:
            ran = lane.deploy(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
        answers.assert_all_good()
        assert_clear(ran, 1, "nothing==1.0")
        assert lane.runs()[0].state == "undone"
        assert_serves(lane, old)
        lane.put("ops.toml", description)
        os.unlink(lane.folder / "requirements.txt")
        lane.commit("without it")
        new = lane.deployed()
        assert_serves(lane, new)
