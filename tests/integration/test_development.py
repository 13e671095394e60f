"""The sample application in development: set up twice, served with reload, gone when stopped."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.hosts import orphans, ports
from ops.setup import dotenv
from tests.support.development import ROOT, Sample, sample
from tests.support.local import eventually

LEFT_OUT = shutil.ignore_patterns("node_modules", "dist", "__pycache__", ".env.local", ".venv")


@pytest.fixture(scope="module")
def shop() -> Iterator[Sample]:
    """The application set up, with ports of its own."""
    with sample() as made:
        shutil.copytree(ROOT / "examples", made.folder / "examples", ignore=LEFT_OUT)
        text = (ROOT / "ops.toml").read_text()
        made.write(
            "ops.toml",
            text.replace("port = 8000", f"port = {made.port}").replace(
                "5173", str(page_port(made))
            ),
        )
        first = made.done("setup", "--env", "development")
        assert "inv start" in first.out
        yield made


def page_port(shop: Sample) -> int:
    """Return the port of the frontend: the same for the whole module."""
    file = shop.folder / "page-port"
    if not file.exists():
        file.write_text(str(ports.free({shop.port})))
    return int(file.read_text())


@pytest.fixture
def running(shop: Sample) -> Sample:
    shop.done("start")
    return shop


def page(shop: Sample, path: str = "") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{page_port(shop)}/{path}", timeout=20) as answer:
        return str(answer.read().decode())


def app(shop: Sample) -> Path:
    return shop.folder / "examples" / "shop"


def test_second_setup_changes_nothing(shop: Sample) -> None:
    file = app(shop) / ".env.local"
    before = (
        file.read_bytes(),
        file.stat().st_mtime_ns,
        sorted((shop.folder / ".ops" / "logs").iterdir()),
    )
    result = shop.done("setup", "--env", "development")
    assert result.out.startswith(
        "nothing to change: development is set up; start it with: inv start"
    )
    assert (
        file.read_bytes(),
        file.stat().st_mtime_ns,
        sorted((shop.folder / ".ops" / "logs").iterdir()),
    ) == before


def test_local_file_has_the_database_and_is_private(shop: Sample) -> None:
    file = app(shop) / ".env.local"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = dotenv.parse(file.read_bytes(), ".env.local")
    assert values["DATABASE_URL"].startswith("postgresql://shop_development:")
    assert values["LOG_LEVEL"] == "info"


def test_start_without_setup_says_what_to_run(shop: Sample) -> None:
    stamp = app(shop) / "frontend" / "node_modules" / ".invops-lock"
    kept = stamp.read_text()
    stamp.write_text("another lock file")
    try:
        result = shop.inv("start")
    finally:
        stamp.write_text(kept)
    assert result.code == 2
    assert "node_modules is not what package-lock.json says" in result.err
    assert "inv setup --env development" in result.err


def test_all_servers_work_together(running: Sample) -> None:
    assert json.loads(running.get("health/ready"))["status"] == "ready"
    assert "<html" in page(running)
    body = json.dumps({"item": "latte", "quantity": 2}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{page_port(running)}/api/orders", data=body, method="POST"
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # through the proxy of Vite
        order = json.loads(answer.read())["id"]

    def booked() -> bool:
        orders = json.loads(running.get("api/orders"))["orders"]
        return any(each["id"] == order and each.get("done") for each in orders)

    assert eventually(booked), "the worker does its job"


def test_changed_file_is_served_without_a_restart_by_us(running: Sample) -> None:
    source = app(running) / "backend" / "shop" / "app.py"
    daemon_pid = running.processes("backend")[0].pid
    # The reloader compares times: whole seconds on some file systems.
    time.sleep(1.1)
    source.write_text(source.read_text().replace('"status": "live"', '"status": "reloaded"'))
    assert eventually(lambda: "reloaded" in answer(running, "health/live"), 20)
    assert running.processes("backend")[0].pid == daemon_pid


def answer(shop: Sample, path: str) -> str:
    try:
        return shop.get(path)
    except OSError:
        return ""


@pytest.mark.parametrize("service", ["backend", "frontend", "worker"])
def test_killed_first_process_leaves_no_orphan(running: Sample, service: str) -> None:
    before = running.processes(service)
    running.kill(before[0])

    def replaced() -> bool:
        now = running.processes(service)
        return bool(now) and not {each.pid for each in now} & {each.pid for each in before}

    assert eventually(replaced, 20)
    running.done("start")
    assert json.loads(running.get("health/ready"))["status"] == "ready"
    assert "<html" in page(running)


def test_services_run_as_who_started_them_and_the_database_does_not_run_as_root(
    running: Sample,
) -> None:
    users = {
        each.uids().effective
        for name in ("backend", "frontend", "worker")
        for each in running.processes(name)
    }
    assert users == {os.geteuid()}
    database = [
        each for each in orphans.find(running.project.home, {"postgres"}) if each.is_running()
    ]
    assert database
    assert 0 not in {each.uids().effective for each in database}


def test_everything_killed_is_stopped_and_started(running: Sample) -> None:
    running.kill(*running.processes())
    running.done("start")
    assert json.loads(running.get("health/ready"))["status"] == "ready"
    running.done("stop")
    assert running.processes() == []
    assert ports.is_free(running.port)
    assert ports.is_free(page_port(running))
    assert not [
        each for each in psutil.process_iter() if str(running.folder) in " ".join(_command(each))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
