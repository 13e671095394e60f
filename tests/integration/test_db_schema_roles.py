"""`inv db.schema` as a person runs it, on a database that `inv db.init` made: its grants are no difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import roles
from tests.support.commands import Command
from tests.support.postgres import Postgres
from tests.support.roles import Site

pytestmark = pytest.mark.integration

MIGRATION = """
CREATE TABLE orders (id serial PRIMARY KEY, total int);
CREATE TABLE sales.totals (id int GENERATED ALWAYS AS IDENTITY, label text);
CREATE INDEX totals_label ON sales.totals USING gin (label extensions.gin_trgm_ops);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with roles.server() as running:
        yield running


def test_grants_of_db_init_and_extensions_agree_until_somebody_changes_them(
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = Site(tmp_path, server, "shop", roles.users("shop"), Command(capsys), monkeypatch)
    site.write(
        'schemas = ["public", "sales"]\nextensions = ["extensions.pg_trgm"]',
        more='\n[migrations]\nkind = "sql"\npath = "db"\n',
    )
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "1_all.sql").write_text(MIGRATION)
    for words in (["db.init"], ["db.extensions"], ["db.migrate", "--yes"]):
        answer = site(*words)
        assert answer.code == 0, answer.err

    answer = site("db.schema")
    assert answer.code == 0, answer.out + answer.err
    assert "migrations and the live database agree: " in answer.out

    site.rows("GRANT DELETE ON orders TO shop_read; REVOKE USAGE ON SCHEMA sales FROM shop_app")
    answer = site("db.schema", "--format", "json")
    assert answer.code == 1
    (comparison,) = answer.json["comparisons"]
    assert {each["object"]: each["live"] for each in comparison["differences"]} == {
        "grants of schema sales": "GRANT USAGE ON SCHEMA sales TO shop_read;",
        "grants of table public.orders": "GRANT SELECT,DELETE ON TABLE public.orders TO shop_read;\n"
        "GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.orders TO shop_app;",
    }

    site.rows("ALTER TABLE sales.totals OWNER TO owner")
    answer = site("db.schema")
    assert answer.code == 5
    assert "cannot read the schema of database shop on " in answer.err
    assert "permission denied for table totals" in answer.err
    assert len(answer.err.strip().splitlines()) == 2
