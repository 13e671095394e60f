"""The sample's migrations on a real server: all or nothing; readiness knows the pending."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from tests.examples.shop import Shop
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

MIGRATION = '''"""Written by a test."""
from alembic import op

revision = "{revision}"
down_revision = "{previous}"


def upgrade() -> None:
    op.execute("{statement}")
'''


def tables(server: Postgres, name: str) -> set[str]:
    with server.connect(name) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def newer(shop: Shop, *statements: str) -> Shop:
    """Return a copy of the sample with one more migration for each statement."""
    backend = shop.folder / "newer"
    shutil.copytree(shop.backend, backend)
    for number, statement in enumerate(statements, start=5):
        text = MIGRATION.format(
            revision=f"{number:04}", previous=f"{number - 1:04}", statement=statement
        )
        (backend / f"migrations/versions/{number:04}_test.py").write_text(text, encoding="utf-8")
    return dataclasses.replace(shop, backend=backend)


def test_upgrade_makes_the_tables_of_the_code(server: Postgres, shop: Shop, empty: str) -> None:
    url = server.url(empty)
    assert shop.alembic(url, "upgrade", "head").returncode == 0
    assert tables(server, empty) == {"alembic_version", "orders", "jobs", "sales"}
    check = shop.alembic(url, "check")
    assert check.returncode == 0, check.stdout + check.stderr


def test_failed_migration_leaves_an_empty_database_empty(
    server: Postgres, shop: Shop, empty: str
) -> None:
    failing = newer(shop, "CREATE TABLE extra (id int)", "SELECT 1/0")
    result = failing.alembic(server.url(empty), "upgrade", "head")
    assert result.returncode != 0
    assert "division by zero" in result.stderr
    assert tables(server, empty) == set()


def test_failed_migration_undoes_the_good_ones_before_it(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    failing = newer(shop, "CREATE TABLE extra (id int)", "SELECT 1/0")
    assert failing.alembic(server.url(migrated), "upgrade", "head").returncode != 0
    assert "extra" not in tables(server, migrated)
    assert shop.alembic(server.url(migrated), "current").stdout == "0004 (head)\n"


def test_orders_from_before_the_jobs_get_jobs(server: Postgres, shop: Shop, empty: str) -> None:
    assert shop.alembic(server.url(empty), "upgrade", "0001").returncode == 0
    with server.connect(empty) as connection:
        connection.execute("INSERT INTO orders (item, quantity) VALUES ('latte', 2), ('tea', 1)")
        assert shop.alembic(server.url(empty), "upgrade", "head").returncode == 0
        assert connection.execute("SELECT order_id FROM jobs ORDER BY id").fetchall() == [
            (1,),
            (2,),
        ]


def test_downgrade_takes_everything_back(server: Postgres, shop: Shop, migrated: str) -> None:
    assert shop.alembic(server.url(migrated), "downgrade", "base").returncode == 0
    assert tables(server, migrated) == {"alembic_version"}


def test_backend_is_live_but_not_ready_while_migrations_are_pending(
    server: Postgres, shop: Shop, empty: str
) -> None:
    url = server.url(empty)
    with shop.web(url, version="r7") as web:
        for pending in (["0001", "0002", "0003", "0004"], ["0003", "0004"]):
            answer = web.client.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["pending_migrations"] == pending
            assert answer.json()["version"] == "r7"
            assert web.status("/health") == 503
            assert web.status("/health/live") == 200
            assert shop.alembic(url, "upgrade", "0002").returncode == 0
        assert web.client.post("/api/orders").status_code == 503
        assert shop.alembic(url, "upgrade", "head").returncode == 0
        assert web.client.get("/health/ready").json() == {
            "status": "ready",
            "version": "r7",
            "database": "ok",
            "pending_migrations": [],
        }
        assert web.client.post("/api/orders").status_code == 201


def test_old_release_stays_ready_on_a_newer_schema(
    server: Postgres, shop: Shop, migrated: str
) -> None:
    url = server.url(migrated)
    with shop.web(url) as web:
        newest = newer(shop, "ALTER TABLE orders ADD COLUMN note text")
        assert newest.alembic(url, "upgrade", "head").returncode == 0
        assert web.status("/health/ready") == 200
        assert web.client.post("/api/orders").status_code == 201
