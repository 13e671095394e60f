"""The sample's backend on a real database."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.examples.shop import Shop, wait_until
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def web(server: Postgres, programs: Path, template: str) -> Iterator[httpx.Client]:
    """A client of one backend for the tests that store nothing."""
    with TemporaryDirectory(prefix="shop-") as folder:
        url = server.url(server.create(template))
        with Shop(programs, Path(folder)).web(url) as running:
            yield running.client
            assert running.count() == 0


def test_order_and_its_job_are_stored_together(server: Postgres, shop: Shop, migrated: str) -> None:
    with shop.web(server.url(migrated)) as web, server.connect(migrated) as connection:
        answer = web.client.post("/api/orders", json={"item": "latte", "quantity": 2})
        assert answer.status_code == 201
        order = answer.json()
        assert (order["item"], order["quantity"]) == ("latte", 2)
        assert connection.execute("SELECT order_id FROM jobs").fetchall() == [(order["id"],)]

        connection.execute("DROP TABLE jobs CASCADE")
        assert web.client.post("/api/orders").status_code == 503
        assert web.count() == 1


def test_repeated_client_id_counts_once(server: Postgres, shop: Shop, migrated: str) -> None:
    with shop.web(server.url(migrated)) as web, ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: web.client.post("/api/orders", json={"client_id": "a"}), range(24))
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert web.count() == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[1", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b'{"price": 1}', 422),
        (b'{"item": ""}', 422),
        (b'{"item": "\\u0000"}', 422),
        (b'{"item": "\\ud800"}', 422),
        (b'{"client_id": 5}', 422),
        (b'{"quantity": true}', 422),
        (b'{"quantity": 0}', 422),
        (b'{"quantity": 1e400}', 422),
    ],
    ids=repr,
)
def test_wrong_order_is_refused_with_a_reason(web: httpx.Client, body: bytes, status: int) -> None:
    answer = web.post("/api/orders", content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("seconds", ["-1", "nan", "31", "x", ""])
def test_wrong_delay_is_refused(web: httpx.Client, seconds: str) -> None:
    assert web.post("/api/slow", params={"seconds": seconds}).status_code == 422


def test_last_orders_are_listed_and_requests_are_counted(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    with shop.web(server.url(migrated)) as web:
        for number in range(12):
            web.client.post("/api/orders", json={"client_id": f"c{number}"})
        listed = web.client.get("/api/orders").json()["orders"]
        assert [each["client_id"] for each in listed] == [f"c{n}" for n in range(11, 1, -1)]
        assert not any(each["done"] for each in listed)
        assert web.status("/nothing/here") == 404

        metrics = web.client.get("/metrics").text
        requests = 'shop_requests_total{method="POST",path="/api/orders",status="201"} 12.0'
        assert requests in metrics
        assert "shop_orders_total 12.0" in metrics
        assert "/nothing/here" not in metrics
        assert len(web.logged("request")) == 14


def test_slow_order_in_flight_is_answered_when_the_backend_is_stopped(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    with (
        shop.web(server.url(migrated)) as web,
        server.connect(migrated) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(web.client.post, "/api/slow?seconds=2", json={"client_id": "slow"})
        wait_until(lambda: b"in_flight 2.0" in web.client.get("/metrics").content, "slow request")
        began = time.monotonic()
        # uvicorn ends itself with the signal once everything is closed.
        assert web.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert 1 < time.monotonic() - began < 5
        assert slow.result().status_code == 201
        assert connection.execute("SELECT client_id FROM orders").fetchall() == [("slow",)]
        assert [event["version"] for event in web.logged("stopped")] == ["r1"]


def test_backend_survives_a_restart_of_the_database(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    with shop.web(server.url(migrated)) as web:
        assert web.client.post("/api/orders").status_code == 201
        server.stop()
        try:
            answer = web.client.get("/health/ready")
            assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
            assert web.status("/health/live") == 200
            assert web.client.post("/api/orders").status_code == 503
        finally:
            server.start()
        wait_until(lambda: web.status("/health/ready") == 200, "ready again")
        assert web.client.post("/api/orders").status_code == 201
        assert web.count() == 2


def test_missing_database_url_is_one_clear_line(shop: Shop) -> None:
    environment = shop.environment("", "r1")
    for command in (["-m", "shop.worker"], ["-m", "uvicorn", "shop.app:app"]):
        result = subprocess.run(
            [shop.programs / "python", *command],
            cwd=shop.backend,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert result.stderr.strip().splitlines() == [
            "DATABASE_URL is not set: give the URL of a PostgreSQL database."
        ]
