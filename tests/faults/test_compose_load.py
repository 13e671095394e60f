"""Many Compose deploys under load: no request fails, whatever the new version does and whenever the deployer dies.

INVOPS_DEPLOYS=100 deploys as often. The control is what a small team's script does: there the client sees failures.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.docker.apps import app
from tests.support.docker.deployed import Small, small
from tests.support.load import Load
from tests.support.local import eventually
from tests.support.places import free_port, place

pytestmark = [pytest.mark.usefixtures("docker_engine"), pytest.mark.timeout(3600)]
DEPLOYS = int(os.environ.get("INVOPS_DEPLOYS", "20"))
NEW = 20
"""Requests a second on new connections, beside 200 on kept ones and POSTs of two seconds."""


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Small]:
    """Give the application with a release that serves."""
    with place() as base, small(base) as made:
        made.program = [sys.executable, "-m", "tests.faults.run"]
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def load(port: int) -> AbstractContextManager[Load]:
    return Load("127.0.0.1", port, "/", "/slow", new=NEW, limit=3600)


def test_no_request_fails_over_many_deploys(site: Small) -> None:
    releases = [site.version()]
    with load(site.port) as client:
        for _ in range(DEPLOYS):
            releases.append(site.release())
            ran = site.deploy("--quiet")
            assert ran.code == 0, ran.text
            assert site.version() == releases[-1]
    result = client.result()
    print(result)
    assert result.failed == 0, result.errors
    assert {each.partition('"version": "')[2][:12] for each in result.bodies} == set(releases)
    assert result.answered_posts > DEPLOYS


def test_deployer_killed_after_the_switch_and_versions_that_fail_lose_no_request(
    site: Small,
) -> None:
    switched = "kill:step.acted:switch:localhost"
    with load(site.port) as client:
        new = site.release()
        assert site.deploy("--quiet", FAULT=switched).code == -signal.SIGKILL
        assert site.version() == new
        for mode, words in (("crash", "crashed 2 times"), ("sick", "says that it is unhealthy")):
            site.release(mode)
            ran = site.deploy("--quiet")
            assert (ran.code, words in ran.err) == (1, True), ran.text
            assert site.version() == new
        new = site.release("good")
        assert site.deploy("--quiet", FAULT=switched).code == -signal.SIGKILL
        ran = site.deploy("--quiet")
        assert ran.code == 0, ran.text
        assert site.version() == site.serving() == new
        workers = [name for name in site.containers() if name.startswith("worker")]
        assert sorted(site.containers()[name]["State"] for name in workers) == ["exited", "running"]
    assert client.result().failed == 0, client.result()


def test_control_the_naive_script_fails_requests_and_the_client_sees_them(
    docker_engine: None, tmp_path: Path
) -> None:
    with app(tmp_path / "naive") as made:
        port = free_port()
        made.release("1", PORT=port)
        made.compose("up", "--detach")
        assert eventually(lambda: _answers(port), 30)
        with load(port) as client:
            for number in range(2, 5):
                made.release(str(number), PORT=port)
                made.compose("up", "--detach")
                assert eventually(lambda: _answers(port), 30)
        result = client.result()
    print(result.failed, result)
    assert {each.split()[0] for each in result.errors} >= {"new:", "kept:", "posts:"}, result


def _answers(port: int) -> bool:
    from ops.hosts import http
    from ops.kernel.errors import ConnectionFailed

    try:
        return http.get(f"http://127.0.0.1:{port}/health", timeout=2).status == 200
    except ConnectionFailed:
        return False
