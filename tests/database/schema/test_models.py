"""Models: found as the application imports them, and reduced to what metadata can say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.database.migrations.model import Source
from ops.database.schema import Key, models, objects
from ops.kernel.errors import ConfigurationError
from tests.support import runs

URL = SecretStr("postgresql://nobody@/nothing")
TABLES = """
import os
from sqlalchemy import CheckConstraint, Column, Enum, Integer, MetaData, String, Table
assert os.environ["DATABASE_URL"]
class Base:
    metadata = MetaData()
Table("a", Base.metadata, Column("id", Integer, primary_key=True),
      Column("mood", Enum("sad", "ok", name="mood")), Column("was", Enum("sad", "ok", name="mood")),
      Column("text", String, CheckConstraint("text LIKE 'a%%'" % ())))
"""


def statements(folder: Path, name: str) -> list[str]:
    project = runs.project(folder)
    source = Source("sql", folder, Path(sys.executable), {}, "DATABASE_URL", None)
    return models.statements(runs.context(project), source, name, [folder], URL)


@pytest.mark.parametrize("name", ["tables:Base.metadata", "tables:Base"])
def test_statements_are_those_of_the_metadata(tmp_path: Path, name: str) -> None:
    (tmp_path / "tables.py").write_text(TABLES)
    enum, table = statements(tmp_path, name)
    assert enum == "CREATE TYPE mood AS ENUM ('sad', 'ok')"
    assert "text LIKE 'a%'" in table


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere:metadata", "ModuleNotFoundError: No module named 'nowhere'"),
        ("tables:nothing", "AttributeError: module 'tables' has no attribute 'nothing'"),
        ("tables:number", "TypeError: it is int, not MetaData"),
        ("broken:metadata", "ZeroDivisionError: division by zero"),
        ("ends:metadata", "it ended with 7"),
    ],
)
def test_name_that_leads_nowhere_is_refused(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "tables.py").write_text("number = 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "ends.py").write_text("import os\nos._exit(7)\n")
    with pytest.raises(ConfigurationError) as caught:
        statements(tmp_path, name)
    assert name in caught.value.what
    assert caught.value.why == why


def entry(type: str, name: str, text: str) -> str:
    return f"--\n-- Name: {name}; Type: {type}; Schema: public; Owner: me\n--\n\n{text}\n\n\n"


ORDERS = "CREATE TABLE public.orders (\n    id integer NOT NULL\n)"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param("", entry("VIEW", "v", "CREATE VIEW public.v AS SELECT 1;"), id="view"),
        pytest.param(
            "",
            entry(
                "TRIGGER",
                "orders t",
                "CREATE TRIGGER t AFTER INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION f();",
            ),
            id="trigger",
        ),
        pytest.param(
            "",
            entry("ACL", "TABLE orders", "GRANT SELECT ON TABLE public.orders TO a;"),
            id="grants",
        ),
        pytest.param(
            "",
            entry("ROW SECURITY", "orders", "ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;"),
            id="row level security",
        ),
        pytest.param(
            "",
            entry("COMMENT", "FUNCTION f()", "COMMENT ON FUNCTION public.f() IS 'x';"),
            id="comment of a function",
        ),
        pytest.param(
            entry("TABLE", "orders", f"{ORDERS};"),
            entry(
                "TABLE",
                "orders",
                f"{ORDERS}\nWITH (fillfactor='70');\nALTER TABLE ONLY public.orders ALTER COLUMN id SET STATISTICS 9;",
            ),
            id="storage",
        ),
        pytest.param(
            entry("INDEX", "ix_a", "CREATE INDEX ix_a ON public.orders USING btree (id);"),
            entry(
                "INDEX", "orders_id", "CREATE INDEX orders_id ON public.orders USING btree (id);"
            ),
            id="name of an index",
        ),
        pytest.param(
            entry(
                "CONSTRAINT",
                "orders a",
                "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT a UNIQUE (id);",
            ),
            entry(
                "CONSTRAINT",
                "orders b",
                "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT b UNIQUE (id);",
            ),
            id="name of a constraint",
        ),
    ],
)
def test_what_metadata_cannot_say_is_not_compared(ours: str, theirs: str) -> None:
    said, known = models.comparable(objects(ours)), models.comparable(objects(theirs))
    assert models.with_names_of(said, known) == known


def test_sequence_of_a_renamed_table_does_not_count() -> None:
    def serial(sequence: str) -> dict[Key, str]:
        text = entry("TABLE", "orders", f"{ORDERS};")
        text += entry("SEQUENCE", sequence, f"CREATE SEQUENCE public.{sequence};")
        text += entry(
            "SEQUENCE OWNED BY",
            sequence,
            f"ALTER SEQUENCE public.{sequence} OWNED BY public.orders.id;",
        )
        text += entry(
            "DEFAULT",
            "orders id",
            f"ALTER TABLE ONLY public.orders ALTER COLUMN id SET DEFAULT nextval('public.{sequence}'::regclass);",
        )
        return models.comparable(objects(text))

    assert serial("orders_id_seq") == serial("old_name_id_seq")
    assert "nextval(its own sequence)" in "".join(serial("orders_id_seq").values())
