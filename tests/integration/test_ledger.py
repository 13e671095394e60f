"""A second application, differently built, deployed by `invops` from its own repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import First
from tests.support.project import APPS, Project, project
from tests.support.steady import unchanged

INVOPS = [sys.executable, "-c", "from ops.program import main; main()"]


@pytest.fixture(scope="module")
def ledger(shared_home: Path, first: First) -> Iterator[Project]:
    """It shares daemon and PostgreSQL with the sample."""
    with project("ledger", shared_home) as made:
        made.program = INVOPS
        made.deployed()
        yield made


def test_it_serves_on_tcp_with_its_own_names(ledger: Project) -> None:
    release = ledger.git("rev-parse", "HEAD")[:12]
    assert ledger.get("/ops/healthz").json == {"build": release, "ok": True}
    posted = httpx.post(f"http://127.0.0.1:{ledger.port}/entries", json={"memo": "first"})
    assert posted.status_code == 201
    assert ledger.get("/entries/count").json == {"count": 1}
    assert set(ledger.processes()) == {
        f"{ledger.environment}-proxy",
        f"{ledger.environment}-blue-api",
    }


def test_migrations_were_applied_in_order(ledger: Project) -> None:
    versions = [row[0] for row in ledger.query("SELECT version FROM schema_migrations ORDER BY 1")]
    assert versions == sorted(
        each.name.partition("_")[0] for each in (APPS / "ledger/db").iterdir()
    )


def test_second_deploy_has_nothing_to_change(ledger: Project) -> None:
    ran = ledger.deploy()
    assert ran.code == 0
    assert "nothing to change" in ran.out


def test_changed_applied_migration_is_refused(ledger: Project) -> None:
    file = "db/20240315093000_memo.sql"
    with unchanged(ledger, "schema_migrations entry", "/ops/healthz"):
        ledger.put(file, (ledger.folder / file).read_text() + "-- tidied up\n")
        ledger.commit("tidied up")
        ran = ledger.deploy()
        assert ran.code == 3
        assert "20240315093000_memo.sql was changed after it was applied" in ran.text


def test_new_commit_and_back_until_a_migration_breaks_the_old_one(ledger: Project) -> None:
    first = ledger.serving()
    second = ledger.commit("second")
    assert ledger.deployed() == second
    assert ledger.get("/ops/healthz").json["build"] == second
    assert ledger.run("rollback").code == 0
    assert ledger.get("/ops/healthz").json["build"] == first

    (breaking,) = (APPS / "ledger" / "db-breaking").iterdir()
    ledger.put(f"db/{breaking.name}", breaking.read_text())
    ledger.edit("src/ledger/web.py", "(account, cents, memo) VALUES (%s, %s, %s)", COLUMNS)
    ledger.edit("src/ledger/web.py", 'body.get("cents", 100), body.get("memo"))', CENTS)
    third = ledger.commit("without memo")
    assert ledger.deployed() == third
    refused = ledger.run("rollback")
    assert refused.code == 3
    backup = ledger.backup_before(third)
    assert backup in refused.text
    posted = httpx.post(f"http://127.0.0.1:{ledger.port}/entries", json={})
    assert posted.status_code == 201


COLUMNS = "(account, cents) VALUES (%s, %s)"
CENTS = 'body.get("cents", 100))'
