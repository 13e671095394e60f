"""`deploy.check` of containers and of processes: everything at once, nothing changed, the code of the worst."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.support.docker.deployed import Small, small
from tests.support.local import eventually
from tests.support.places import place
from tests.support.project import project

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with place() as made:
        yield made


@pytest.fixture(scope="module")
def shared(base: Path, docker_engine: None) -> Iterator[Small]:
    with small(base) as made:
        yield made


@pytest.fixture
def app(shared: Small) -> Iterator[Small]:
    """Give the application as it was committed."""
    yield shared
    shared.git("reset", "--quiet", "--hard", "HEAD")


def wrong(app: Small, *words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of a check and what it says is wrong, by check."""
    ran = app.run("deploy.check", *words, "--format", "json")
    assert ran.err == "", ran.err
    found = ran.json["findings"]
    return ran.code, {each["check"]: each for each in found if each["state"] == "wrong"}


def test_nothing_stops_a_first_deploy_and_nothing_is_changed(app: Small, base: Path) -> None:
    ran = app.run("deploy.check")
    assert ran.code == 0, ran.text
    for check in ("git", "secrets", "disk", "engine", "Compose file", "clock", "proxy image"):
        assert f" {check} " in ran.out
    assert "nothing stops a deploy" in ran.out
    assert app.containers() == {} and not (base / "containers").exists()


@pytest.mark.parametrize(
    ("old", "new", "code", "check", "words"),
    [
        ('"200MB"', '"900TB"', 1, "disk", "900000.0 GB needed"),
        (
            "port =",
            'secrets = { TOKEN = "env:NOBODY_HAS_IT" }\nport =',
            3,
            "secret TOKEN",
            "NOBODY",
        ),
        ("port =", 'policy = { branch = "release" }\nport =', 5, "policy: branch", "release"),
        ("proxy_image", 'registry = "127.0.0.1:9"\nproxy_image', 4, "registry", "127.0.0.1:9"),
        ('proxy_image = "', 'proxy_image = "127.0.0.1:9/', 4, "proxy image", "cannot be fetched"),
        (
            'REDIS_IMAGE = "',
            'REDIS_IMAGE = "127.0.0.1:9/',
            4,
            "image of cache",
            "cannot be fetched",
        ),
        ("[services.worker]", "[services.werker]", 3, "here", "no service werker"),
    ],
)
def test_what_would_stop_a_deploy_is_told_with_what_to_do(
    app: Small, old: str, new: str, code: int, check: str, words: str
) -> None:
    app.edit("ops.toml", old, new)
    exit_code, found = wrong(app)
    assert exit_code == code, found
    assert words in found[check]["found"], found
    assert found[check]["hint"] and "\n" not in found[check]["found"]


def test_all_findings_come_at_once_and_the_worst_gives_the_code(app: Small) -> None:
    app.edit("ops.toml", '"200MB"', '"900TB"')
    app.edit("ops.toml", "port =", 'secrets = { TOKEN = "env:NOBODY_HAS_IT" }\nport =')
    app.edit("ops.toml", 'proxy_image = "', 'proxy_image = "127.0.0.1:9/')
    code, found = wrong(app)
    assert code == 3
    assert {"disk", "secret TOKEN", "proxy image"} <= found.keys()


def test_uncommitted_work_is_told_and_stops_nothing(app: Small) -> None:
    app.put("compose.yaml", (app.folder / "compose.yaml").read_text() + "# more\n")
    ran = app.run("deploy.check")
    assert ran.code == 0, ran.text
    assert "uncommitted changes are left out" in ran.out


def test_deploy_refuses_what_would_break_it_half_way(app: Small) -> None:
    app.edit("ops.toml", '"200MB"', '"900TB"')
    ran = app.deploy()
    assert ran.code == 1, ran.text
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "here: disk" in ran.err and "localhost: disk" in ran.err
    assert "deploy.check" in ran.err and "started" not in ran.err
    assert app.containers() == {}


def test_who_holds_the_lock_is_told(app: Small) -> None:
    plain, app.program = app.program, [sys.executable, "-m", "tests.faults.run"]
    holder = app.start("deploy", FAULT="SIGSTOP:step.acted:checkout")
    app.program = plain
    try:
        held: list[dict[str, Any]] = []

        def is_told() -> bool:
            held.extend(each for each in [wrong(app)[1].get("lock")] if each)
            return bool(held)

        assert eventually(is_told, 60)
        assert f"process {holder.pid} on" in held[0]["found"] and held[0]["code"] == 1
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    assert wrong(app) == (0, {}), "the lock of a process that is gone stops nobody"


def test_environment_of_processes_is_checked_as_well(base: Path) -> None:
    require("haproxy", "haproxy", "/usr/sbin")
    with project("tiny", base) as tiny:
        ran = tiny.run("deploy.check")
        assert ran.code == 0, ran.text
        assert "1 more than nothing: 1_orders.sql" in ran.out
        with socket.socket() as somebody:
            somebody.bind(("127.0.0.1", tiny.port))
            somebody.listen()
            ran = tiny.run("deploy.check")
        assert ran.code == 3 and f"port {tiny.port} is taken" in ran.out, ran.text
