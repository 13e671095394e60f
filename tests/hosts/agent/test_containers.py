"""Docker on the host: what a `docker` says, and what the agent makes of it."""

from __future__ import annotations

import json
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import containers
from ops.hosts.agent.errors import Refused


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a program `docker` of shell lines."""

    def make(script: str) -> None:
        path = tmp_path / "docker"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv(
            "DOCKER_HOST", f"unix://{tmp_path}/none"
        )  # an engine of this machine is not asked

    return make


def described(**state: Any) -> dict[str, Any]:
    moment = datetime.now(UTC) - timedelta(seconds=30)
    labels = {containers.SERVICE: "web-blue", containers.SLOT: "blue", containers.RELEASE: "r1"}
    return {
        "Id": "abc",
        "Name": "/shop-web-blue-1",
        "Image": "sha256:1",
        "RestartCount": 2,
        "Config": {"Labels": {**labels, containers.HASH: "h"}},
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "StartedAt": moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z",
            **state,
        },
        "NetworkSettings": {"Networks": {"a": {"IPAddress": "10.0.0.1"}, "b": {"IPAddress": ""}}},
    }


def answering(docker: Any, found: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps(found))
    docker(f"cat {tmp_path}/answer.json")


def test_a_container_is_read_from_inspect(docker: Any, tmp_path: Path) -> None:
    answering(docker, [described(Health={"Status": "healthy"})], tmp_path)
    found = containers.inspected(["abc"])[0]
    assert (found.service, found.slot, found.release) == ("web-blue", "blue", "r1")
    assert (found.health, found.restarts, found.addresses) == ("healthy", 2, ("10.0.0.1",))
    assert 29 < found.age < 60


@pytest.mark.parametrize(
    ("state", "health", "completed"),
    [
        ({}, "", False),
        ({"Health": None}, "", False),
        ({"Health": {"Status": "none"}}, "", False),
        ({"Status": "exited", "ExitCode": 0}, "", True),
        ({"Status": "exited", "ExitCode": 1}, "", False),
    ],
)
def test_health_and_end(
    docker: Any, tmp_path: Path, state: dict[str, Any], health: str, completed: bool
) -> None:
    answering(docker, [described(**state)], tmp_path)
    found = containers.inspected(["abc"])[0]
    assert (found.health, found.completed) == (health, completed)


@pytest.mark.parametrize("started", ["2026-11-21T17:01:59Z", "2026-11-21T17:01:59.5Z"])
def test_a_start_may_have_no_fraction(docker: Any, tmp_path: Path, started: str) -> None:
    answering(docker, [described(StartedAt=started)], tmp_path)
    second = datetime(2026, 11, 21, 17, 1, 59, tzinfo=UTC).timestamp()
    assert abs(containers.inspected(["abc"])[0].age - (time.time() - second)) < 30


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("echo 'Error: it broke' >&2; exit 1", "failed", "it broke"),
        ("echo 'permission denied ... /var/run/docker.sock' >&2; exit 1", "permission", "docker"),
        ("echo 'Cannot connect to the Docker daemon at x' >&2; exit 1", "failed", "engine"),
        ("echo 'docker: unknown command: docker compose' >&2; exit 1", "missing", "Compose"),
        ("sleep 30", "failed", "no answer within 1 s"),
    ],
)
def test_a_command_that_fails_says_why(docker: Any, script: str, kind: str, words: str) -> None:
    docker(script)
    with pytest.raises(Refused) as caught:
        containers.run(["compose", "up"], 0.5 if "sleep" in script else 10)
    assert caught.value.kind == kind
    assert words.replace("1 s", "0 s") in f"{caught.value.what} {caught.value.why}"


def test_a_missing_docker_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="docker is not installed") as caught:
        containers.project("shop")
    assert caught.value.kind == "missing"


def test_removing_what_is_gone_is_fine(docker: Any) -> None:
    docker("echo 'Error: No such container: x' >&2; exit 1")
    containers.remove(["x", "y"])
    containers.remove([])
    docker("echo 'Error: device busy' >&2; exit 1")
    with pytest.raises(Refused, match="failed: docker rm"):
        containers.remove(["x"])


def test_hashes_are_read_by_service_and_asked_for_again_when_the_document_changed(
    docker: Any, tmp_path: Path
) -> None:
    model = tmp_path / "model.json"
    model.write_text('{"services": {}}')
    docker("printf 'web-blue 01\\ndb 02\\n'")
    assert containers.hashes(model) == {"web-blue": "01", "db": "02"}
    docker("printf 'db 03\\n'")
    assert containers.hashes(model, keep=True) == {"db": "03"}
    docker("printf 'db 04\\n'")
    assert containers.hashes(model) == {"db": "03"}
    model.write_text('{"services": {"db": {}}}')
    assert containers.hashes(model) == {"db": "04"}


def test_last_lines_are_both_outputs(docker: Any) -> None:
    docker("echo out; echo err >&2")
    assert set(containers.logs("x").split()) == {"out", "err"}
