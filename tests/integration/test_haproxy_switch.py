"""Traffic moves between two slots of a real HAProxy without one failed request."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from ops.hosts import haproxy, polling
from ops.kernel import guard
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, EffectRefused, StepFailed
from tests.conftest import require
from tests.support import environments
from tests.support.fronts import Front
from tests.support.load import Load

SWITCHES, FEW = 10, 3


@pytest.fixture(scope="session")
def python() -> Path:
    return environments.static_python()


@pytest.fixture(params=["PATH", "wheel"])
def front(request: pytest.FixtureRequest, python: Path) -> Iterator[Front]:
    """Give a proxy that runs, with release 1 serving in blue."""
    on_path = request.param == "PATH"
    binary = require("haproxy", "haproxy", "/usr/sbin") if on_path else None
    with Front(binary or environments.haproxy_from_wheel(), python) as made:
        made.serve("blue", "1")
        made.write("blue")
        made.start()
        made.proxy.wait_up("blue", Deadline(10))
        yield made


def answer(front: Front, path: str = "/") -> str:
    return httpx.get(front.url(path), trust_env=False).text


def test_switches_under_load_lose_nothing(front: Front, request: pytest.FixtureRequest) -> None:
    drained = []
    switches = SWITCHES if request.node.callspec.params["front"] == "PATH" else FEW
    with Load("127.0.0.1", front.port, "/", "/orders") as load:
        time.sleep(1)
        for number in range(2, switches + 2):
            old, new = (("blue", "green"), ("green", "blue"))[number % 2]
            front.serve(new, str(number))
            drained.append(front.switch(new))
            # What is idle may end in any way.
            front.services.pop(old).end(signal.SIGKILL)
        time.sleep(1)
    counts = load.result()
    print(f"{counts}\ndrained in {[f'{each:.2f}' for each in drained]} s")
    assert counts.failed == 0, counts
    assert (
        counts.new > 200 * switches and counts.kept > 200 * switches and counts.posts > 2 * switches
    )
    assert set(counts.bodies) == {str(number) for number in range(1, switches + 2)}


def test_structural_change_and_switch_under_load_lose_nothing(front: Front) -> None:
    front.serve("green", "2")
    with Load("127.0.0.1", front.port, "/", "/orders") as load:
        time.sleep(1)
        for number in range(3):
            prefix = f"/api{number}"
            front.write("blue", front.backend("web", "/"), front.backend("api", prefix))
            front.proxy.reload(haproxy.structure_digest(front.routing), Deadline(10))
            assert front.proxy.active_slot() == "blue"
            assert ("api", "blue") in front.proxy.states()
            assert answer(front, prefix) == "1"
        begin = time.monotonic()
        front.switch("green")
        front.services.pop("blue").end(signal.SIGKILL)
        print(f"switched after reloads in {time.monotonic() - begin:.2f} s")
        time.sleep(1)
    assert load.result().failed == 0, load.result()
    assert set(load.result().bodies) == {"1", "2"}


@pytest.mark.parametrize("victim", ["master", "worker"])
def test_proxy_that_is_killed_comes_back_with_the_same_slot(front: Front, victim: str) -> None:
    front.serve("green", "2")
    front.switch("green")
    assert front.master is not None
    worker = front.worker()
    os.kill(front.master.process.pid if victim == "master" else worker, signal.SIGKILL)
    # Both end, so the supervisor starts it anew and no orphan answers beside it.
    front.master.process.wait(timeout=5)
    assert polling.wait_for(lambda: not psutil.pid_exists(worker), Deadline(5), every=0.05)
    assert not front.proxy.running()
    front.start()
    assert front.proxy.active_slot() == "green"
    front.proxy.wait_up("green", Deadline(10))
    assert answer(front) == "2"


def test_proxy_that_is_stopping_refuses_changes(front: Front) -> None:
    assert front.master is not None
    with concurrent.futures.ThreadPoolExecutor() as pool:
        request = pool.submit(httpx.post, front.url("/orders"), trust_env=False)
        time.sleep(0.3)
        front.master.process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        with pytest.raises((StepFailed, ConnectionFailed), match="proxy"):
            front.proxy.ready("green")
        assert request.result().status_code == 200
    front.master.process.wait(timeout=5)


def test_active_slot_is_what_the_proxy_does_not_what_was_written(front: Front) -> None:
    front.write("green")
    assert front.proxy.active_slot() == "blue"
    front.proxy.ready("green")
    assert front.proxy.active_slot() == "mixed"
    front.proxy.drain("blue")
    assert front.proxy.active_slot() == "green"
    assert front.proxy.states()["web", "blue"].admin == "drain"
    front.proxy.maintenance("green")
    assert front.proxy.active_slot() is None
    assert front.proxy.states()["web", "green"].status == "MAINT"


def test_drained_slot_that_is_dead_does_not_count_as_serving(front: Front) -> None:
    front.serve("green", "2")
    front.proxy.ready("green")
    front.proxy.drain("blue")
    front.services.pop("blue").end(signal.SIGKILL)
    assert polling.wait_for(
        lambda: front.proxy.states()["web", "blue"].status == "DOWN", Deadline(10), every=0.1
    )
    assert front.proxy.active_slot() == "green"


def test_services_in_different_slots_are_mixed(front: Front) -> None:
    front.write("blue", front.backend("web", "/"), front.backend("api", "/api"))
    front.proxy.reload(haproxy.structure_digest(front.routing), Deadline(10))
    front.proxy._master.ask("set server api/green state ready")
    front.proxy._master.ask("set server api/blue state maint")
    assert front.proxy.active_slot() == "mixed"


def test_slot_that_never_gets_alive_is_named(front: Front) -> None:
    front.serve("green", "2", live=503)
    front.proxy.ready("green")
    with pytest.raises(StepFailed, match=r"slot green alive within 1 s: web is .*L7STS 503"):
        front.proxy.wait_up("green", Deadline(1))


def test_no_service_answers_503_in_words(front: Front) -> None:
    front.write("blue", front.backend("api", "/api"))
    front.proxy.reload(haproxy.structure_digest(front.routing), Deadline(10))
    unknown = httpx.get(front.url("/other"), trust_env=False)
    assert (unknown.status_code, unknown.text) == (
        503,
        "503: no service is configured for this path.\n",
    )
    front.proxy.maintenance("blue")
    stopped = httpx.get(front.url("/api/x"), trust_env=False)
    assert (stopped.status_code, stopped.text) == (503, "503: the service is not running.\n")


def test_longest_prefix_wins_on_whole_segments(front: Front) -> None:
    front.write("blue", front.backend("web", "/"), front.backend("api", "/api"))
    front.proxy.reload(haproxy.structure_digest(front.routing), Deadline(10))
    before = {name: front.requests(name) for name in ("web", "api")}
    for path in ("/api", "/api/x", "/apix", "/", "/api?x=1"):
        answer(front, path)
    after = {name: front.requests(name) for name in ("web", "api")}
    assert {name: after[name] - before[name] for name in before} == {"web": 2, "api": 3}


def test_service_learns_who_asked(front: Front) -> None:
    headers = httpx.get(front.url("/headers"), trust_env=False).json()
    assert headers["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("reloaded", [False, True])
def test_requests_that_do_not_end_are_cut(front: Front, reloaded: bool) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        request = pool.submit(httpx.post, front.url("/orders"), trust_env=False)
        time.sleep(0.3)
        if reloaded:
            front.write("blue", front.backend("web", "/", "/more"))
            front.proxy.reload(haproxy.structure_digest(front.routing), Deadline(10))
        front.proxy.drain("blue")
        assert not front.proxy.wait_idle("blue", Deadline(0.1))
        front.proxy.close_sessions("blue")
        assert front.proxy.wait_idle("blue", Deadline(1))
        assert request.result().status_code in (502, 503)


def test_faulty_configuration_leaves_the_old_one_in_force(front: Front) -> None:
    digest = front.proxy.structure()
    front.config.write_text("nonsense\n")
    with pytest.raises(StepFailed, match="goes on with the old one"):
        front.proxy.reload("other", Deadline(1))
    assert front.proxy.structure() == digest
    assert answer(front) == "1"


def test_dry_run_only_looks(front: Front) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        assert front.proxy.active_slot() == "blue"
        for change in (
            front.proxy.ready,
            front.proxy.drain,
            front.proxy.maintenance,
            front.proxy.close_sessions,
        ):
            with pytest.raises(EffectRefused):
                change("green")
        with pytest.raises(EffectRefused):
            front.proxy.reload("x", Deadline(1))
    assert front.proxy.active_slot() == "blue"
