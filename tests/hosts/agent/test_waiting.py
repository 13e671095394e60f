"""What is waited for, of all that a `docker` says runs in a project."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import containers, waiting
from ops.hosts.agent.errors import Refused

DOCUMENT = {"name": "shop", "services": {"db": {}, "cache": {}}}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that says which services run, each with its health."""
    answer, program = tmp_path / "answer.json", tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n[ $1 = ps ] && echo id || cat {answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")

    def say(**health: str) -> None:
        answer.write_text(json.dumps([container(name, each) for name, each in health.items()]))

    return say


def container(service: str, health: str) -> dict[str, Any]:
    labels = {containers.SERVICE: service}
    state = {"Status": "running", "Health": {"Status": health}}
    return {
        "Id": service,
        "Name": f"/shop-{service}-1",
        "Image": "sha256:1",
        "Config": {"Labels": labels},
        "State": state,
    }


def test_what_somebody_else_runs_in_the_project_is_not_waited_for(there: Any) -> None:
    there(db="healthy", cache="healthy", stray="starting")
    waiting.others(DOCUMENT, time.monotonic() + 60)


def test_service_that_is_not_healthy_in_time_is_named(there: Any) -> None:
    there(db="healthy", cache="starting", stray="unhealthy")
    with pytest.raises(Refused, match=r"not up in time: cache is running starting$"):
        waiting.others(DOCUMENT, time.monotonic() + 0.3)
