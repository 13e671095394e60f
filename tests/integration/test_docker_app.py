"""The small application of the tests: it serves, works, and fails as it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.docker.apps import App, app
from tests.support.local import eventually


@pytest.fixture(scope="module")
def small(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("app")) as made:
        yield made


def up(small: App, *services: str) -> None:
    small.compose("up", "--detach", "--no-deps", *services)


def state(small: App) -> str:
    listed = json.loads(small.compose("ps", "--all", "--format=json", "web"))
    return str(listed["Health"] or listed["State"])


def test_it_says_its_version_and_an_earlier_connection_does_not_hold_its_end_up(small: App) -> None:
    small.release("1")
    up(small, "web")
    assert eventually(lambda: state(small) == "healthy")
    with httpx.Client(base_url=f"http://{small.address()}") as client:
        for path in ("/", "/health"):
            assert client.get(path).json() == {"version": "1", "status": 200}
        assert client.post("/slow", content=b"order").json()["version"] == "1"
        small.compose("stop", "web")
    assert json.loads(small.compose("ps", "--all", "--format=json", "web"))["ExitCode"] == 0


@pytest.mark.parametrize(("mode", "expected"), [("crash", "exited"), ("sick", "unhealthy")])
def test_it_fails_as_it_is_told_to(small: App, mode: str, expected: str) -> None:
    small.release("2", mode)
    up(small, "web")
    assert eventually(lambda: state(small) == expected, 30), state(small)


def test_sour_one_gets_healthy_and_then_fails(small: App) -> None:
    small.release("3", "sour")
    up(small, "web")
    assert eventually(lambda: state(small) == "healthy")
    with httpx.Client(base_url=f"http://{small.address()}") as client:
        codes = [client.get("/").status_code for _ in range(40)]
        assert (codes[0], codes[-1]) == (200, 500)
        assert client.get("/health").status_code == 200


def test_worker_that_is_stopped_finishes_its_job_and_takes_no_other(small: App) -> None:
    small.release("4")
    up(small, "cache", "worker")

    def redis(*words: str) -> str:
        return small.compose("exec", "-T", "cache", "redis-cli", *words)

    redis("RPUSH", "jobs", "long 2", "next 0")
    assert eventually(lambda: redis("LLEN", "jobs").strip() == "1")
    small.compose("stop", "worker")
    assert redis("LRANGE", "done", "0", "-1") == "long 4\n"
    assert redis("LLEN", "jobs").strip() == "1"
