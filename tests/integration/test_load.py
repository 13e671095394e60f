"""Ten deploys under load: not one request fails, not one order is lost."""

from __future__ import annotations

import time

import pytest

from tests.integration.conftest import First
from tests.support.load import Load
from tests.support.project import Project

DEPLOYS = 6


@pytest.mark.timeout(900)
def test_deploys_under_load_lose_nothing(shop: Project, first: First) -> None:
    commits = [shop.git("rev-parse", "HEAD"), ""]
    shop.edit("examples/shop/backend/shop/app.py", '"The backend:', '"The second backend:')
    shop.commit("another")
    commits[1] = shop.git("rev-parse", "HEAD")
    shop.deployed("--ref", commits[0])

    began, seconds = time.monotonic(), []
    with Load("127.0.0.1", shop.port, "/health/live", "/api/slow?seconds=2", limit=800) as load:
        for number in range(1, DEPLOYS + 1):
            this = time.monotonic()
            ran = shop.deploy("--ref", commits[number % 2])
            assert ran.code == 0, ran.text
            seconds.append(time.monotonic() - this)
        while time.monotonic() - began < 3:
            time.sleep(0.1)
    counts = load.result()
    print(f"\n{counts}\ndeploys took {', '.join(f'{each:.1f}' for each in seconds)} s")
    assert counts.failed == 0, counts
    assert counts.new > 100 * sum(seconds) and counts.kept > 100 * sum(seconds)
    assert counts.posts > 2 * DEPLOYS
    assert shop.get("/api/orders/count").json["count"] == counts.answered_posts
    answered = {version: number for version, number in counts.bodies.items() if number}
    assert len(answered) == 2, answered
