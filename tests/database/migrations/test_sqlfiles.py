"""Plain SQL files on a real PostgreSQL: each exactly once, whatever fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import Source
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    StepFailed,
)
from tests.support.migrations import ids, query, tables, write
from tests.support.postgres import Postgres


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
    with pytest.raises(StepFailed, match=r"2_b.sql failed: division by zero\n  line 1: SELECT 1/0"):
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


def test_wrong_places_are_told(context: Context, source: Source, url: SecretStr) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder of migrations"):
        migrations.pending(context, replace(source, path=source.path / "missing"), url)
    write(source, first="SELECT 1")
    with pytest.raises(ConfigurationError, match="has no version"):
        migrations.pending(context, source, url)
    (source.path / "first.sql").unlink()
    with pytest.raises(ConnectionFailed):
        migrations.pending(context, source, SecretStr("postgresql://x@/x?host=/nowhere"))


def test_dry_run_looks_but_does_not_apply(context: Context, source: Source, url: SecretStr) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    with guard.scope(guard.Mode.DRY_RUN):
        assert ids(context, source, url) == ["1"]
        with pytest.raises(EffectRefused):
            migrations.apply(context, source, url)


AWKWARD = """\
/* a comment; /* in a comment; */ with a semicolon */
CREATE TABLE "odd;name" (note text, "a""b" int);
INSERT INTO "odd;name" VALUES ('it''s; fine', 1), (E'back\\\\slash\\'; quote', 2); -- ; here as well
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
DECLARE x int := 0;
BEGIN
  x := length($$a;b$$); -- COMMIT;
  RETURN x;
END;
$body$;
CREATE FUNCTION g(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN n > 1 THEN n ELSE 2 END; END;
DO $$ BEGIN INSERT INTO "odd;name" VALUES ('100 % ü', 3); END $$;
CREATE RULE r AS ON DELETE TO "odd;name" DO INSTEAD (SELECT 1; SELECT 2);
;
"""


@pytest.mark.parametrize("first", ["", "-- invops: no-transaction\n"])
def test_awkward_sql_is_understood(
    context: Context, source: Source, url: SecretStr, first: str
) -> None:
    write(source, v1_a=first + AWKWARD, v2_b="CREATE TABLE b AS SELECT f() AS f, g(7) AS g")
    migrations.apply(context, source, url)
    assert query(url, "SELECT f, g FROM b") == [(3, 7)]
    notes = query(url, 'SELECT note FROM "odd;name" ORDER BY "a""b"')
    assert notes == [("it's; fine",), ("back\\slash'; quote",), ("100 % ü",)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 1;\nCOPY a (x) FROM stdin;\n1\n2\n\\.\n", 2),
        ("\\set x 1\nSELECT :x;", 1),
    ],
)
def test_what_only_psql_understands_is_refused_before_anything_runs(
    context: Context, source: Source, url: SecretStr, text: str, line: int
) -> None:
    write(source, v1_a="CREATE TABLE a (x int)", v2_b=text)
    with pytest.raises(ConfigurationError, match=f"2_b.sql, line {line}, is for psql only"):
        migrations.apply(context, source, url)
    assert tables(url) == set()


def test_settings_of_a_file_do_not_reach_the_next(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="SET search_path TO ''; SET ROLE pg_monitor", v2_b="CREATE TABLE b ()")
    migrations.apply(context, source, url)
    assert tables(url) == {"b", "schema_migrations"}


def test_new_value_of_an_enum_can_be_used_by_the_next_file(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TYPE mood AS ENUM ('good'); CREATE TABLE m (mood mood)")
    migrations.apply(context, source, url)
    write(source, v2_b="ALTER TYPE mood ADD VALUE 'bad'", v3_c="INSERT INTO m VALUES ('bad')")
    migrations.apply(context, source, url)
    assert query(url, "SELECT mood FROM m") == [("bad",)]


def test_failure_shows_statement_line_and_what_the_server_said(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a (x int PRIMARY KEY);\n\nINSERT INTO a\nVALUES (1), (1);")
    with pytest.raises(StepFailed) as failure:
        migrations.apply(context, source, url)
    assert str(failure.value).splitlines() == [
        '1_a.sql failed: duplicate key value violates unique constraint "a_pkey"',
        "  line 3: INSERT INTO a VALUES (1), (1)",
        "  detail: Key (x)=(1) already exists.",
    ]
    write(source, v1_a="SELECT 1;\nSELECT\n  nothing")
    with pytest.raises(
        StepFailed, match=r'column "nothing" does not exist\n  line 3: SELECT nothing'
    ):
        migrations.apply(context, source, url)


def test_changed_file_is_shown_as_a_difference(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a (\n  x int\n)")
    migrations.apply(context, source, url)
    write(source, v1_a="CREATE TABLE a (\n  x bigint\n)")
    with pytest.raises(ConfigurationError) as failure:
        migrations.pending(context, source, url)
    assert "-  x int\n+  x bigint" in failure.value.why
    (entry,) = migrations.entries(context, source, url)
    assert entry.state == "changed"


def test_file_that_is_gone_is_named_and_stops_nothing(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    migrations.apply(context, source, url)
    (source.path / "1_a.sql").rename(source.path / "2_b.sql")
    write(source, v2_b="CREATE TABLE b ()")
    states = [(each.id, each.state) for each in migrations.entries(context, source, url)]
    assert states == [("1", "missing"), ("2", "pending")]
    migrations.apply(context, source, url)
    assert "b" in tables(url)


def test_two_files_of_one_version_are_refused(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="SELECT 1", v01_b="SELECT 1")
    with pytest.raises(ConfigurationError, match=r"01_b\.sql and 1_a\.sql have the same version"):
        migrations.pending(context, source, url)


def test_no_permission_is_told(
    context: Context, source: Source, url: SecretStr, server: Postgres
) -> None:
    query(url, "DROP ROLE IF EXISTS visitor")
    query(url, "CREATE ROLE visitor LOGIN")
    write(source, v1_a="CREATE TABLE a ()")
    visitor = SecretStr(url.get_secret_value().replace("owner@", "visitor@"))
    assert ids(context, source, visitor) == ["1"]
    with pytest.raises(NotPermitted, match="permission denied for schema public"):
        migrations.apply(context, source, visitor)
    assert tables(url) == set()
