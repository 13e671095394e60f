"""Pending and applied migrations on a real PostgreSQL: SQL files, and Alembic by the application's interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import Source
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, ConnectionFailed, EffectRefused, StepFailed
from tests.support import runs
from tests.support.postgres import Postgres

ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(os.environ["URL"].replace("postgresql:", "postgresql+psycopg:"))
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration={each})
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = '''"""{title}."""
from alembic import op
revision = "{id}"
down_revision = {before!r}
{more}
def upgrade():
    op.execute("{statement}")
'''
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> SecretStr:
    return SecretStr(server.url(server.create()))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return runs.context(runs.project(tmp_path))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    folder = tmp_path / "db"
    folder.mkdir()
    return Source("sql", folder, Path(sys.executable), {}, "URL", None)


def tables(url: SecretStr) -> set[str]:
    with psycopg.connect(url.get_secret_value()) as connection:
        return {row[0] for row in connection.execute(TABLES.encode())}


def write(source: Source, **contents: str) -> None:
    for name, text in contents.items():
        (source.path / f"{name.removeprefix('v')}.sql").write_text(text)


def ids(context: Context, source: Source, url: SecretStr) -> list[str]:
    return [each.id for each in migrations.pending(context, source, url)]


def test_files_are_applied_once_in_the_order_of_their_numbers(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(
        source, v10_c="CREATE TABLE c AS SELECT * FROM b", v9_b="CREATE TABLE b AS SELECT * FROM a"
    )
    write(source, v1_a="CREATE TABLE a (note text); INSERT INTO a VALUES ('100 % ü')")
    (source.path / "readme.txt").write_text("no migration")
    assert ids(context, source, url) == ["1", "9", "10"]
    assert tables(url) == set()
    migrations.apply(context, source, url)
    assert ids(context, source, url) == []
    assert tables(url) == {"a", "b", "c", "schema_migrations"}
    migrations.apply(context, source, url)
    write(source, v11_d="CREATE TABLE d ()")
    assert ids(context, source, url) == ["11"]


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("-- invops: breaks-old\nSELECT 1", True),
        ("SELECT 1;\n  --  invops:  breaks-old  \n", True),
        ("-- invops: breaks-older\nSELECT 1", False),
        ("SELECT '-- invops: breaks-old'", False),
    ],
)
def test_file_that_says_breaks_old(
    context: Context, source: Source, url: SecretStr, text: str, breaks: bool
) -> None:
    write(source, v1_a=text)
    (found,) = migrations.pending(context, source, url)
    assert found.breaks_old is breaks


def test_failed_file_takes_all_back(context: Context, source: Source, url: SecretStr) -> None:
    write(source, v1_a="CREATE TABLE a ()", v2_b="CREATE TABLE b (); SELECT 1/0")
    with pytest.raises(StepFailed, match=r"2_b.sql failed: division by zero"):
        migrations.apply(context, source, url)
    assert tables(url) == set()
    assert ids(context, source, url) == ["1", "2"]


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\n",
        "-- first\n\nbegin;CREATE TABLE a ();commit;",
        "START TRANSACTION;\nCREATE TABLE a ();\nINSERT INTO a DEFAULT VALUES;\nCOMMIT ;",
    ],
)
def test_file_with_a_transaction_of_its_own_is_taken_back_with_the_others(
    context: Context, source: Source, url: SecretStr, text: str
) -> None:
    write(source, v1_a=text, v2_b="SELECT 1/0")
    with pytest.raises(StepFailed):
        migrations.apply(context, source, url)
    assert tables(url) == set()


def test_function_with_begin_and_end_is_left_alone(
    context: Context, source: Source, url: SecretStr
) -> None:
    body = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\nRETURN 1;\nEND;\n$$;"
    write(source, v1_a=f"{body}\nCREATE TABLE a AS SELECT f();")
    migrations.apply(context, source, url)
    assert "a" in tables(url)


def test_file_that_commits_in_its_middle_is_recorded_with_what_it_did(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a (); COMMIT; CREATE TABLE b ()", v2_b="SELECT 1/0")
    with pytest.raises(StepFailed):
        migrations.apply(context, source, url)
    assert tables(url) == {"a", "b", "schema_migrations"}
    assert ids(context, source, url) == ["2"]


def test_changed_applied_file_is_refused(context: Context, source: Source, url: SecretStr) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    migrations.apply(context, source, url)
    write(source, v1_a="CREATE TABLE a (); -- tidied up")
    with pytest.raises(ConfigurationError, match=r"1_a.sql was changed after it was applied"):
        migrations.pending(context, source, url)


def test_lock_that_somebody_holds_is_not_waited_for(
    context: Context,
    source: Source,
    url: SecretStr,
    server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    migrations.apply(context, source, url)
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "200ms")
    write(source, v2_b="ALTER TABLE a ADD COLUMN x int")
    with psycopg.connect(url.get_secret_value()) as connection:
        connection.execute("LOCK TABLE a")
        with pytest.raises(StepFailed, match="lock timeout"):
            migrations.apply(context, source, url)


def test_wrong_places_are_told(context: Context, source: Source, url: SecretStr) -> None:
    with pytest.raises(ConfigurationError, match="has no folder of migrations"):
        migrations.pending(context, replace(source, path=source.path / "missing"), url)
    write(source, first="SELECT 1")
    with pytest.raises(ConfigurationError, match="has no version"):
        migrations.pending(context, source, url)
    with pytest.raises(ConnectionFailed):
        migrations.pending(context, source, SecretStr("postgresql://x@/x?host=/nowhere"))


def test_dry_run_looks_but_does_not_apply(context: Context, source: Source, url: SecretStr) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    with guard.scope(guard.Mode.DRY_RUN):
        assert ids(context, source, url) == ["1"]
        with pytest.raises(EffectRefused):
            migrations.apply(context, source, url)


@pytest.fixture
def alembic(tmp_path: Path) -> Source:
    folder = tmp_path / "alembic"
    (folder / "versions").mkdir(parents=True)
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    (folder / "env.py").write_text(ENV.format(each=False))
    return Source("alembic", ini, Path(sys.executable), {}, "URL", None)


def revision(source: Source, id: str, before: str | None, statement: str, more: str = "") -> None:
    text = REVISION.format(title=f"Make {id}", id=id, before=before, statement=statement, more=more)
    (source.path.parent / "alembic" / "versions" / f"{id}.py").write_text(text)


def test_alembic_revisions_are_applied_in_order(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    revision(alembic, "b", "a", "CREATE TABLE b AS SELECT * FROM a", "invops_breaks_old = True")
    revision(alembic, "a", None, "CREATE TABLE a ()")
    found = migrations.pending(context, alembic, url)
    assert [(each.id, each.title, each.breaks_old) for each in found] == [
        ("a", "Make a.", False),
        ("b", "Make b.", True),
    ]
    assert tables(url) == set()
    migrations.apply(context, alembic, url)
    assert ids(context, alembic, url) == []
    assert tables(url) == {"a", "alembic_version", "b"}
    revision(alembic, "c", "b", "SELECT 1")
    assert ids(context, alembic, url) == ["c"]


@pytest.mark.parametrize(("each", "left"), [(False, ["a", "b"]), (True, ["b"])])
def test_failed_alembic_revision_leaves_what_its_transactions_say(
    context: Context, alembic: Source, url: SecretStr, each: bool, left: list[str]
) -> None:
    (alembic.path.parent / "alembic" / "env.py").write_text(ENV.format(each=each))
    revision(alembic, "a", None, "CREATE TABLE a ()")
    revision(alembic, "b", "a", "SELECT 1/0")
    with pytest.raises(StepFailed, match="division by zero"):
        migrations.apply(context, alembic, url)
    assert ids(context, alembic, url) == left


def test_alembic_that_cannot_start_says_why(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    (alembic.path.parent / "alembic" / "env.py").write_text("import nothing_like_this")
    with pytest.raises(StepFailed, match="nothing_like_this") as failure:
        migrations.pending(context, alembic, url)
    assert url.get_secret_value() not in str(failure.value)
