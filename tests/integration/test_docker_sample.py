"""The sample's images: small rights, and they run as docker/compose.yaml says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.docker.engine import docker
from tests.support.docker.shop import COMMIT, Shop, shop, variables
from tests.support.local import eventually

SERVICES = ("backend", "worker", "frontend")


@pytest.fixture(scope="module")
def running(docker_engine: None) -> Iterator[Shop]:
    with shop() as made:
        yield made


def container(shop: Shop, service: str) -> dict[str, Any]:
    name = shop.compose("ps", "--all", "--quiet", service).strip()
    (found,) = json.loads(docker("inspect", name))
    assert isinstance(found, dict)
    return found


def test_shop_serves_its_pages_and_takes_orders_that_the_worker_books(running: Shop) -> None:
    with running.client() as client:
        page = client.get("/")
        assert "<title>" in page.text
        script = page.text.split('src="')[1].split('"')[0]
        assert "immutable" in client.get(script).headers["Cache-Control"]
        assert client.get("/none").status_code == 404
        answer = client.get("/health/ready").json()
        assert (answer["status"], answer["version"]) == ("ready", COMMIT)
        assert client.post("/api/orders", json={"item": "latte"}).status_code == 201
    assert eventually(lambda: "job done" in running.compose("logs", "worker"))


@pytest.mark.parametrize("service", SERVICES)
def test_service_runs_without_rights(running: Shop, service: str) -> None:
    found = container(running, service)
    assert found["Config"]["User"] == "10001:10001"
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    written = running.compose(
        "exec", "-T", service, "sh", "-c", "touch /app/x /srv/x || id -u; touch /tmp/x && echo /tmp"
    )
    assert written.split() == ["10001", "/tmp"]


@pytest.mark.parametrize(("service", "signal"), [("backend", "SIGTERM"), ("frontend", "SIGQUIT")])
def test_image_says_what_it_is_and_how_it_is_checked_and_stopped(
    running: Shop, service: str, signal: str
) -> None:
    config = container(running, service)["Config"]
    assert config["StopSignal"] == signal
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Cmd"][0] in ("uvicorn", "nginx")  # exec form: the signal reaches it
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.title"] == f"shop-{service}"


@pytest.mark.parametrize("service", SERVICES)
def test_all_services_are_healthy(running: Shop, service: str) -> None:
    assert container(running, service)["State"]["Health"]["Status"] == "healthy"


def test_image_has_nothing_of_what_only_its_build_needs(running: Shop) -> None:
    listing = running.compose("exec", "-T", "backend", "ls", "/app", "/app/venv/bin").split()
    assert "uvicorn" in listing
    assert not {"pip", "pip3"} & set(listing)
    assert running.compose("exec", "-T", "frontend", "sh", "-c", "command -v npm || echo none") == (
        "none\n"
    )


@pytest.mark.parametrize(
    ("service", "base", "megabytes"),
    [("backend", "PYTHON_IMAGE", 150), ("frontend", "NGINX_IMAGE", 2)],
)
def test_image_is_small(running: Shop, service: str, base: str, megabytes: int) -> None:
    own, below = (
        json.loads(docker("image", "inspect", name))[0]["Size"]
        for name in (container(running, service)["Image"], running.variables[base])
    )
    assert own - below < megabytes * 1_000_000


def test_backend_that_is_stopped_finishes_the_request_in_hand(running: Shop) -> None:
    backend = container(running, "backend")["Id"]
    post = "Request('http://backend:8000/api/slow?seconds=2', method='POST')"
    ask = f"from urllib.request import Request, urlopen; print(urlopen({post}).status)"
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(running.compose, "exec", "-T", "worker", "python3", "-c", ask)
        connected = "grep -c ':1F40 .* 01 ' /proc/net/tcp || true"  # port 8000, established
        assert eventually(lambda: docker("exec", backend, "sh", "-c", connected).strip() != "0")
        running.compose("stop", "backend")
        assert slow.result().strip() == "201"
    assert container(running, "backend")["State"]["ExitCode"] == 0
    running.compose("up", "--detach", "--wait", "backend")


def test_second_build_takes_everything_from_the_cache_and_says_the_new_commit(
    running: Shop,
) -> None:
    other = Shop(running.project, variables("ba9876543210"))
    other.compose("build", "--quiet", "backend")
    layers, changed = (
        json.loads(docker("image", "inspect", f"shop-backend:{commit}"))[0]["RootFS"]["Layers"]
        for commit in (COMMIT, "ba9876543210")
    )
    assert layers == changed
    ran = subprocess.run(
        ["docker", "run", "--rm", "shop-backend:ba9876543210", "printenv", "APP_VERSION"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "ba9876543210\n"
