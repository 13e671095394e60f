"""`inv start`, `stop`, `status` and `logs` of a deployed environment, beside development."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts import orphans, ports
from tests.conftest import require
from tests.support.development import OPS_TOML, Sample, sample
from tests.support.local import eventually


@pytest.fixture(scope="module")
def app() -> Iterator[Sample]:
    """An application that is deployed to `local`."""
    require("haproxy", "haproxy", "/usr/sbin")
    with sample(OPS_TOML + "port = {front}\n") as made:
        made.write(".gitignore", "home/\n.ops/\n")
        git(made.folder, "init", "--quiet")
        git(made.folder, "add", "--all")
        git(
            made.folder,
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "--quiet",
            "--message=first",
        )
        made.done("deploy", "--env", "local", "--yes")
        yield made


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True)


def served(app: Sample) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{app.front}/GREETING", timeout=10) as answer:
        return str(answer.read().decode())


def alive(app: Sample) -> set[str]:
    return orphans.programs(app.project.home)


@pytest.fixture
def deployed(app: Sample) -> Sample:
    app.done("start", "--env", "local")
    assert served(app) == "hello world"
    return app


def test_second_start_changes_nothing(deployed: Sample) -> None:
    assert "nothing to change" in deployed.done("start", "--env", "local").out


def rows(app: Sample) -> dict[str, dict[str, str]]:
    answer = app.done("status", "--env", "local", "--format", "json").json
    return {each["service"]: each for each in answer["services"]}


def test_status_tells_slot_release_and_health(deployed: Sample) -> None:
    assert eventually(lambda: {each["state"] for each in rows(deployed).values()} == {"running"})
    found = rows(deployed)
    assert found["proxy"]["address"] == f"127.0.0.1:{deployed.front}"
    assert found["api"]["slot"] in ("blue", "green")
    assert len(found["api"]["release"]) == 12
    assert found["api"]["health"] == "ok"


def test_logs_are_those_of_the_slots(deployed: Sample) -> None:
    served(deployed)
    out = deployed.done("logs", "--env", "local").out
    assert "api    | asked for GREETING, token ***" in out
    assert "ticker | tick" in out
    assert deployed.done("logs", "--env", "local", "--service", "proxy").code == 0


def test_stop_ends_the_environment_and_what_nothing_else_needs(deployed: Sample) -> None:
    deployed.done("stop", "--env", "local")
    assert alive(deployed) == set()
    assert ports.is_free(deployed.front)
    assert "local does not run" in deployed.done("stop", "--env", "local").out
    assert "inv start --env local" in deployed.done("status", "--env", "local").out


def test_development_and_deployed_environment_leave_each_other_alone(deployed: Sample) -> None:
    deployed.done("start")
    deployed.done("stop")
    assert served(deployed) == "hello world"
    assert not any(name.startswith("development.") for name in alive(deployed))
    deployed.done("start")
    deployed.done("stop", "--env", "local")
    assert deployed.get("GREETING") == "hello world"
    deployed.done("stop")
    assert alive(deployed) == set()


def test_stop_after_kill_of_the_daemon_leaves_nothing(deployed: Sample) -> None:
    deployed.kill(deployed.daemon())
    assert "left over" in deployed.done("status", "--env", "local").out
    deployed.done("stop", "--env", "local")
    assert eventually(lambda: alive(deployed) == set())


def test_deploy_after_stop_serves_again(deployed: Sample) -> None:
    deployed.done("stop", "--env", "local")
    deployed.done("deploy", "--env", "local", "--yes")
    assert served(deployed) == "hello world"


def test_single_services_of_a_deployed_environment_are_refused(deployed: Sample) -> None:
    result = deployed.inv("stop", "--env", "local", "--service", "api")
    assert result.code == 3
    assert "it starts and stops as a whole" in result.err
