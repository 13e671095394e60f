"""Where it is recorded what a database has: our table, an older form of it, and the Supabase CLI's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import Source
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from tests.support.migrations import ids, query, tables, write


def test_table_of_another_tool_is_left_alone(
    context: Context, source: Source, url: SecretStr
) -> None:
    query(url, "CREATE TABLE schema_migrations (version text PRIMARY KEY)")
    write(source, v1_a="SELECT 1")
    with pytest.raises(ConfigurationError, match="belongs to another migration tool"):
        migrations.apply(context, source, url)


def test_table_of_an_older_version_is_completed(
    context: Context, source: Source, url: SecretStr
) -> None:
    write(source, v1_a="CREATE TABLE a ()")
    (waiting,) = migrations.pending(context, source, url)
    query(
        url,
        "CREATE TABLE schema_migrations (version text PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())",
    )
    query(url, f"INSERT INTO schema_migrations VALUES ('1', 'a', '{waiting.checksum}')")
    assert ids(context, source, url) == []
    write(source, v2_b="CREATE TABLE b ()")
    migrations.apply(context, source, url)
    assert [each.state for each in migrations.entries(context, source, url)] == ["applied"] * 2


CLI = """CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('20240101000000', '{CREATE TABLE a ()}', 'init')"""
FIRST = "v20240101000000_init"
SECOND = "v20240102000000_more"


def test_supabase_layout_agrees_with_the_supabase_cli(
    context: Context, source: Source, url: SecretStr
) -> None:
    folder = source.path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    supabase = replace(source, path=folder)
    query(url, CLI)
    write(supabase, **{FIRST: "CREATE TABLE a ()", SECOND: "CREATE TABLE b ();\nSELECT 1;"})
    assert ids(context, supabase, url) == ["20240102000000"]
    migrations.apply(context, supabase, url)
    rows = query(url, "SELECT * FROM supabase_migrations.schema_migrations ORDER BY 1")
    assert rows[1] == ("20240102000000", ["CREATE TABLE b ()", "SELECT 1"], "more")
    assert tables(url) == {"b"}  # nothing of ours where its REST interface shows it
    write(supabase, **{SECOND: "CREATE TABLE b (x int)"})
    with pytest.raises(ConfigurationError, match="was changed after it was applied"):
        migrations.pending(context, supabase, url)
    # `supabase migration repair --status reverted`
    query(url, "DELETE FROM supabase_migrations.schema_migrations WHERE name = 'more'")
    assert ids(context, supabase, url) == ["20240102000000"]


def test_supabase_layout_without_its_table_uses_ours(
    context: Context, source: Source, url: SecretStr
) -> None:
    folder = source.path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    supabase = replace(source, path=folder)
    write(supabase, **{FIRST: "CREATE TABLE a ()"})
    migrations.apply(context, supabase, url)
    assert tables(url) == {"a", "schema_migrations"}
