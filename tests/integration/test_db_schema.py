"""`inv db.schema` against a real server: plain SQL files and Alembic, and what differs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import schemas
from tests.support.postgres import Postgres
from tests.support.project import APPS
from tests.support.schemas import PYTHON, Place, found

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        yield made


@pytest.fixture
def place(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return schemas.make(server, tmp_path, monkeypatch)


@pytest.fixture
def ledger(place: Place) -> Place:
    """The application with SQL files, migrated."""
    shutil.copytree(APPS / "ledger" / "db", place.folder / "db")
    place.migrate()
    return place


@pytest.fixture
def shop(place: Place) -> Place:
    """The sample with Alembic and models, migrated."""
    place.use_shop()
    place.migrate()
    return place


def test_sql_files_agree(ledger: Place) -> None:
    report = ledger.compare()
    assert (report.status, report.exit_code) == ("ok", 0)
    assert report.summary == "migrations and the live database agree: 14 objects"


def test_alembic_and_models_agree(shop: Place) -> None:
    report = shop.compare()
    assert found(report) == {}
    assert report.summary.startswith("models, migrations and the live database agree: ")


def test_each_side_is_named_that_has_an_object(shop: Place) -> None:
    shop.change(
        "ALTER TABLE sales ALTER item TYPE varchar(30); CREATE TABLE stray (id int PRIMARY KEY)"
    )
    file = shop.folder / "backend/shop/database.py"
    text = file.read_text()
    file.write_text(
        text.replace('"sold", BigInteger', '"sold", Integer').replace(
            'Index("jobs_open"', 'Index("jobs_some"'
        )
    )
    report = shop.compare()
    assert (report.status, report.exit_code) == ("difference", 1)
    assert found(report) == {
        "column item of public.sales": "migrations: text NOT NULL; live: character varying(30) NOT NULL",
        "table public.stray": "only in live",
        "column sold of public.sales": "models: integer NOT NULL; migrations: bigint NOT NULL",
    }, "the name of an index is a convention"


def test_models_are_compared_with_pending_migrations_and_the_live_database_without(
    shop: Place,
) -> None:
    file = shop.folder / "backend/shop/database.py"
    file.write_text(file.read_text().replace('"sold", BigInteger', '"sold", Integer'))
    (shop.folder / "backend/migrations/versions/0005_less.py").write_text(
        '"""Less."""\nfrom alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = "0005", "0004"\n'
        'def upgrade(): op.alter_column("sales", "sold", type_=sa.Integer)\n'
    )
    report = shop.compare()
    assert report.status == "ok"
    assert report.data["pending"] == ["0005"]


def test_models_alone_are_compared_with_the_live_database(shop: Place) -> None:
    shop.toml(database='models = "backend.shop.database:metadata"', migrations=PYTHON)
    shop.change("ALTER TABLE sales DROP COLUMN sold; CREATE VIEW seen AS SELECT 1 AS one")
    assert found(shop.compare()) == {
        "column sold of public.sales": "only in models: bigint NOT NULL"
    }


def test_objects_beyond_the_schemas_are_left_out_and_named(ledger: Place) -> None:
    ledger.change("CREATE SCHEMA theirs; CREATE TABLE theirs.t (id int)")
    report = ledger.compare()
    assert report.status == "ok"
    assert report.facts["schemas left out"] == "theirs"


def test_file_that_was_changed_is_replayed_as_it_is_now(ledger: Place) -> None:
    file = ledger.folder / "db/20240315093000_memo.sql"
    file.write_text(file.read_text().replace("memo text", "memo varchar(9)"))
    report = ledger.compare()
    assert found(report) == {
        "column memo of public.entry": "migrations: character varying(9); live: text"
    }
    assert report.facts["changed since applied"] == "20240315093000"


def test_owners_and_grants_compare_although_the_scratch_server_is_another(place: Place) -> None:
    (place.folder / "db").mkdir()
    (place.folder / "db/1_all.sql").write_text(
        "CREATE ROLE schema_clerk; CREATE TABLE a (id int); GRANT SELECT ON a TO schema_clerk;"
        "CREATE TABLE b (id int); ALTER TABLE b OWNER TO schema_clerk;"
    )
    place.migrate()
    assert found(place.compare()) == {}
    place.change("GRANT INSERT ON a TO schema_clerk; ALTER TABLE b OWNER TO owner")
    assert set(found(place.compare())) == {"grants of table public.a", "owner of table public.b"}


def test_extension_of_ops_toml_is_there_before_the_migrations(place: Place) -> None:
    place.toml(database='extensions = ["pg_trgm@1.5"]')
    (place.folder / "db").mkdir()
    (place.folder / "db/1_all.sql").write_text(
        "CREATE TABLE a (t text); CREATE INDEX a_t ON a USING gin (t gin_trgm_ops);"
    )
    place.change("CREATE EXTENSION pg_trgm VERSION '1.5'")
    place.migrate()
    assert found(place.compare()) == {}
    place.change("ALTER EXTENSION pg_trgm UPDATE TO '1.6'")
    assert list(found(place.compare())) == ["extension pg_trgm"]


def test_nothing_of_the_live_database_changes(ledger: Place) -> None:
    def state() -> object:
        with ledger.server.connect(ledger.name) as connection:
            return connection.execute("SELECT count(*), max(oid::int) FROM pg_class").fetchone()

    before = state()
    ledger.compare()
    assert state() == before
