"""What `inv db.schema` cannot compare: one line that says why, the right code, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import schemas
from tests.support.postgres import Postgres
from tests.support.schemas import PYTHON, Place

pytestmark = pytest.mark.integration

GOOD = "CREATE TABLE a (id int);\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        yield made


@pytest.fixture
def place(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = schemas.make(server, tmp_path, monkeypatch)
    made.write("db/1_a.sql", GOOD)
    return made


def test_no_database(place: Place) -> None:
    text = (place.folder / "ops.toml").read_text()
    place.write(
        "ops.toml",
        text.replace('[database]\nengine = "postgres"', "").split("[migrations]")[0] + """
[environments.shared]
target = "local"
""",
    )
    error = place.error()
    assert (error.exit_code, error.what) == (3, "ops.toml has no [database]")


def test_nothing_to_compare_with(place: Place) -> None:
    place.toml(migrations="")
    error = place.error()
    assert error.exit_code == 3
    assert error.what == "there is nothing to compare the live database with"


def test_models_that_cannot_be_made(place: Place) -> None:
    place.write("tables.py", MODELS)
    place.toml(database='models = "tables:metadata"')
    error = place.error()
    assert error.what == "the models cannot be made on a scratch server"
    assert error.why.startswith('type "nothing" does not exist: CREATE TABLE a')


MODELS = """
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.types import UserDefinedType
class Nothing(UserDefinedType):
    cache_ok = True
    def get_col_spec(self): return "nothing"
metadata = MetaData()
Table("a", metadata, Column("b", Nothing))
"""


def test_missing_python_environment(place: Place) -> None:
    place.write("backend/requirements.txt", "")
    place.toml(database='models = "tables:metadata"', migrations=PYTHON)
    place.patch.setenv("OPS_HOME", str(place.folder / "home"))
    error = place.error()
    assert (error.exit_code, error.hint) == (2, "inv setup --env development")


@pytest.mark.parametrize(
    ("url", "code", "why"),
    [
        ("postgresql://owner@127.0.0.1:1/x", 4, "refused"),
        ("postgresql://owner@/missing?host={folder}", 4, 'database "missing" does not exist'),
        (
            "postgresql://careful:wrong-password@/{name}?host={folder}",
            4,
            "password authentication failed",
        ),
        ("no url at all", 3, ""),
    ],
)
def test_live_database_that_does_not_answer(place: Place, url: str, code: int, why: str) -> None:
    place.demand_password("careful", "right-password")
    place.patch.setenv("SHARED_URL", url.format(folder=place.server.folder, name=place.name))
    error = place.error()
    assert error.exit_code == code
    assert why in error.why
    assert "wrong-password" not in str(error)


def test_table_that_the_owner_may_not_read(place: Place) -> None:
    place.migrate()
    place.demand_password("careful", "right-password")
    url = f"postgresql://careful:right-password@/{place.name}?host={place.server.folder}"
    place.patch.setenv("SHARED_URL", url)
    error = place.error()
    assert error.exit_code == 5
    assert "permission denied for table" in error.why
    assert "right-password" not in str(error)


def test_migration_that_runs_no_more(place: Place) -> None:
    place.migrate()
    place.write("db/1_a.sql", "-- first\nCREATE TABLE a (id nothing);\n")
    error = place.error()
    assert (error.exit_code, error.what) == (1, "the migrations do not run on a scratch server")
    assert error.why.startswith(
        '1_a.sql failed: type "nothing" does not exist; line 2: CREATE TABLE'
    )


def test_revision_that_runs_no_more(place: Place) -> None:
    place.use_shop()
    place.migrate()
    file = place.folder / "backend/migrations/versions/0003_sales.py"
    file.write_text(file.read_text().replace('"sales"', '"jobs"', 1))
    error = place.error()
    assert error.what == "the migrations do not run on a scratch server"
    assert error.why.startswith("0003_sales.py, line 14: ")
    assert 'relation "jobs" already exists' in error.why
    assert "\n" not in error.why


def test_revision_that_has_no_file(place: Place) -> None:
    place.use_shop()
    place.migrate()
    (place.folder / "backend/migrations/versions/0004_client_id.py").unlink()
    error = place.error()
    assert error.exit_code == 3
    assert "0004" in error.what


@pytest.mark.parametrize(
    ("database", "statement"),
    [('extensions = ["nowhere"]', GOOD), ("", 'CREATE EXTENSION "nowhere";')],
    ids=["ops.toml", "migration"],
)
def test_extension_that_this_machine_lacks(place: Place, database: str, statement: str) -> None:
    place.migrate()
    place.toml(database=database)
    place.write("db/1_a.sql", statement)
    error = place.error()
    assert error.exit_code == 2
    assert error.what.endswith("lacks extension nowhere")
