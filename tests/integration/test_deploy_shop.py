"""The sample application: first deploy, nothing to change, a new commit, static files over a switch."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.conftest import First
from tests.support.local import eventually
from tests.support.project import Project, project
from tests.support.steady import unchanged


@dataclass(frozen=True)
class Page:
    """An answer with its headers."""

    status: int
    headers: dict[str, str]
    body: str


def page(shop: Project, path: str, **headers: str) -> Page:
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Page(answer.status, found, answer.read().decode())
    finally:
        connection.close()


def script(shop: Project) -> str:
    found = re.search(r'src="(/assets/[^"]+\.js)"', page(shop, "/").body)
    assert found
    return found[1]


def test_first_deploy_on_an_empty_home_serves_everything(first: First) -> None:
    shop = first.shop
    assert shop.serving() == first.release
    assert shop.get("/health/ready").json["version"] == first.release
    assert shop.get("/health/ready").json["pending_migrations"] == []
    assert shop.get("/api/orders/count").json == {"count": 0}
    programs = shop.processes()
    assert set(programs) == {
        f"{shop.environment}-{name}"
        for name in ("proxy", "blue-backend", "blue-worker", "blue-frontend")
    }
    assert f"http://127.0.0.1:{shop.port}" in first.ran.text
    assert shop.half_made() == []


def test_worker_of_the_release_works(first: First) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", first.shop.port, timeout=10)
    connection.request("POST", "/api/orders", body="{}")
    assert connection.getresponse().status == 201
    connection.close()
    assert eventually(lambda: bool(first.shop.get("/api/orders").json["orders"][0]["done"]))


def test_static_files_have_cache_headers(first: First) -> None:
    index, asset = page(first.shop, "/"), page(first.shop, script(first.shop))
    assert index.status == asset.status == 200
    assert index.headers["cache-control"] == "no-cache"
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = page(first.shop, "/", **{"If-None-Match": index.headers["etag"]})
    assert again.status == 304
    assert page(first.shop, "/orders/7").body == index.body
    assert page(first.shop, "/assets/index-00000000.js").status == 404


def test_second_deploy_has_nothing_to_change(first: First) -> None:
    shop = first.shop
    runs = shop.json("runs.list")
    lock = (shop.own / "lock").read_bytes()
    ran = shop.deploy()
    assert ran.code == 0
    assert "nothing to change" in ran.out
    assert shop.json("runs.list") == runs
    assert (shop.own / "lock").read_bytes() == lock
    answer = shop.json("deploy")
    assert answer["status"] == "nothing"


@pytest.fixture(scope="module")
def moving(shared_home: Path, first: First) -> Iterator[Project]:
    """A second environment, whose code the tests change."""
    with project("shop", shared_home) as shop:
        shop.deployed()
        yield shop


def slot(shop: Project) -> str:
    (found,) = {name.split("-")[1] for name in shop.processes()} - {"proxy"}
    return found


def test_new_commit_goes_into_the_other_slot_and_reuses_what_did_not_change(
    moving: Project,
) -> None:
    old, before = script(moving), slot(moving)
    moving.edit("examples/shop/backend/shop/app.py", '"The backend:', '"The second backend:')
    release = moving.commit()
    ran = moving.deploy()
    assert ran.code == 0, ran.text
    assert moving.get("/health/ready").json["version"] == release == moving.serving()
    assert {slot(moving), before} == {"blue", "green"}
    steps = re.findall(r"skipped: (.*)", ran.err)
    for title in ("Install Python dependencies - reused", "Build frontend - reused", "Apply"):
        assert any(each.startswith(title) for each in steps), steps
    assert script(moving) == old


def test_hashed_files_of_the_release_before_stay_reachable(moving: Project) -> None:
    old, title = script(moving), page(moving, "/").body
    moving.edit(
        "examples/shop/frontend/src/main.ts", "const REFRESH_MS = 2000", "const REFRESH_MS = 3000"
    )
    moving.edit("examples/shop/frontend/index.html", "<title>", "<title>New ")
    moving.commit()
    moving.deployed()
    assert script(moving) != old
    assert page(moving, "/").body != title
    kept = page(moving, old)
    assert kept.status == 200
    assert "immutable" in kept.headers["cache-control"]
    assert page(moving, script(moving)).status == 200


MIGRATION = '''"""{title}."""
from alembic import op
revision = "{id}"
down_revision = "{before}"
{more}
def upgrade() -> None:
    op.execute("{statement}")
'''


def migration(shop: Project, id: str, before: str, statement: str, more: str = "") -> None:
    name = f"examples/shop/backend/migrations/versions/{id}_change.py"
    text = MIGRATION.format(title="Change", id=id, before=before, statement=statement, more=more)
    shop.put(name, text)


def test_second_of_two_alembic_revisions_fails(moving: Project) -> None:
    with unchanged(moving, "alembic_version orders", "/health/live"):
        migration(moving, "0005", "0004", "ALTER TABLE orders ADD COLUMN price int")
        migration(moving, "0006", "0005", "UPDATE orders SET price = 1 / 0")
        moving.commit("broken")
        ran = moving.deploy()
        assert ran.code == 1
        assert "division by zero" in ran.text
        assert moving.last_run() == "undone"


def test_alembic_revision_that_breaks_the_old_release_forbids_the_way_back(moving: Project) -> None:
    before = moving.serving()
    statement = "ALTER TABLE sales ALTER COLUMN sold SET DEFAULT 0"
    migration(moving, "0005", "0004", statement, "invops_breaks_old = True")
    release = moving.commit("breaking")
    assert moving.deployed() == release
    backup = moving.backup_before(release)
    ran = moving.run("rollback")
    assert ran.code == 3
    assert f"{before} does not work with the database" in ran.text
    assert backup in ran.text
    assert moving.serving() == release
