"""Alembic by the application's interpreter, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import Source, session
from ops.database.migrations.scripts import scripts
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, ConnectionFailed, StepFailed
from tests.support.migrations import (
    ENV,
    Background,
    alembic_project,
    ids,
    query,
    revision,
)
from tests.support.migrations import session as transaction
from tests.support.migrations import tables, wait_until


@pytest.fixture
def alembic(tmp_path: Path) -> Source:
    return alembic_project(tmp_path / "project")


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


def test_a_project_that_does_not_load_is_one_line(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    (alembic.path.parent / "alembic" / "env.py").write_text("raise RuntimeError('no settings')")
    with pytest.raises(StepFailed) as failure:
        migrations.pending(context, alembic, url)
    assert failure.value.what == f"Alembic cannot read {alembic.path}"
    assert failure.value.why == "RuntimeError: no settings"


def test_a_server_that_does_not_answer_is_a_lost_connection(
    context: Context, alembic: Source
) -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"):
        migrations.pending(context, alembic, SecretStr("postgresql://owner@127.0.0.1:1/shop"))


def test_several_heads_are_one_line(context: Context, alembic: Source, url: SecretStr) -> None:
    revision(alembic, "a", None, "CREATE TABLE a ()")
    revision(alembic, "b", "a", "SELECT 1")
    revision(alembic, "c", "a", "SELECT 1")
    for look in (migrations.entries, migrations.pending, migrations.apply):
        with pytest.raises(
            ConfigurationError, match=r"^the migrations have 2 heads: b, c$"
        ) as told:
            look(context, alembic, url)
        assert told.value.hint == "alembic merge -m 'merge heads' b c"
    assert tables(url) == set()


def test_revision_without_a_file_is_named(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    revision(alembic, "a", None, "CREATE TABLE a ()")
    migrations.apply(context, alembic, url)
    query(url, "UPDATE alembic_version SET version_num = 'zz'")
    states = [(each.id, each.state) for each in migrations.entries(context, alembic, url)]
    assert states == [("a", "pending"), ("zz", "missing")]
    with pytest.raises(ConfigurationError, match="is at revision zz, which has no file here"):
        migrations.pending(context, alembic, url)


def test_up_to_a_revision_only(context: Context, alembic: Source, url: SecretStr) -> None:
    for name, before in (("a", None), ("b", "a"), ("c", "b")):
        revision(alembic, name, before, f"CREATE TABLE {name} ()")
    migrations.apply(context, alembic, url, ["a", "b"])
    assert ids(context, alembic, url) == ["c"]


def test_lock_that_is_not_free_in_time_is_tried_again(
    context: Context, alembic: Source, url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_TIMEOUT", "100ms")
    query(url, "CREATE TABLE a ()")
    revision(alembic, "a", None, "ALTER TABLE a ADD COLUMN x int")
    with transaction(url, "LOCK TABLE a") as held:
        work = Background(lambda: migrations.apply(context, alembic, url))
        wait_until(lambda: timed_out(url))
        held.rollback()
        assert [each.id for each in work.result()] == ["a"]


def timed_out(url: SecretStr) -> bool:
    """Say whether a session of the migration has come and gone."""
    (row,) = query(
        url, "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    )
    return bool(row[0] >= 1)


INDEX = """with op.get_context().autocommit_block():
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x)")"""


def test_index_that_autocommit_left_invalid_is_removed_by_the_next_run(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    query(url, "CREATE TABLE a (x int)")
    query(url, "INSERT INTO a VALUES (1), (1)")
    revision(alembic, "a", None, "", body=INDEX)
    (waiting,) = migrations.pending(context, alembic, url)
    assert not waiting.transactional
    with pytest.raises(StepFailed, match="could not create unique index"):
        migrations.apply(context, alembic, url)
    invalid = (
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'a'::regclass"
    )
    assert query(url, invalid) == [("a_x", False)]
    query(url, "DELETE FROM a")
    migrations.apply(context, alembic, url)
    assert query(url, invalid) == [("a_x", True)]


def test_sql_of_revisions_is_shown_by_the_offline_mode(
    context: Context, alembic: Source, url: SecretStr
) -> None:
    revision(alembic, "a", None, "CREATE TABLE a ()")
    revision(alembic, "b", "a", "DROP TABLE a", "invops_breaks_old = True")
    found, why = scripts(context, alembic, url, migrations.pending(context, alembic, url))
    assert [(each.path, each.text, each.breaks_old) for each in found] == [
        ("a.py", "CREATE TABLE a ();", False),
        ("b.py", "DROP TABLE a;", True),
    ]
    assert not why
    (alembic.path.parent / "alembic" / "env.py").write_text(ONLINE_ONLY)
    found, why = scripts(context, alembic, url, migrations.pending(context, alembic, url))
    assert (found, "does not work here: AssertionError: online only" in why) == ([], True)


ONLINE_ONLY = ENV.format(each=False).replace(
    "if context.is_offline_mode():",
    "if context.is_offline_mode():\n    assert False, 'online only'",
)
