"""inv db.extensions on a real server with contrib: create, update, move, refuse; what is not listed stays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel import exits
from tests.support import roles
from tests.support.commands import Command
from tests.support.postgres import Postgres
from tests.support.roles import Site

NUMBERS = itertools.count(1)
INSTALLED = """
select e.extname, e.extversion, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where extname <> 'plpgsql' order by 1"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with roles.server() as running:
        yield running


@pytest.fixture
def site(
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Site:
    """Return a site whose database belongs to a role without superuser; there is no admin_url."""
    name = f"ext{next(NUMBERS)}"
    with server.connect("postgres") as connection:
        connection.execute(f"create role {name}_own login password 'owner-secret'".encode())
        connection.execute(f"create database {name} owner {name}_own".encode())
    users = {"database_url": f"{name}_own:owner-secret"}
    return Site(tmp_path, server, name, users, Command(capsys), monkeypatch)


def listed(site: Site, *names: str) -> None:
    site.write("extensions = [" + ", ".join(f'"{each}"' for each in names) + "]")


def test_none_listed_is_nothing_to_do(site: Site) -> None:
    site.write()
    answer = site("db.extensions")
    assert (answer.code, "ops.toml lists no extension" in answer.out) == (0, True)


def test_trusted_ones_are_made_by_the_owner_at_version_and_in_schema(site: Site) -> None:
    listed(site, "pgcrypto", "extensions.pg_trgm@1.5", "hstore@1.8")
    dry = site("db.extensions", "--dry-run")
    assert dry.code == exits.DRY_RUN
    assert 'create extension "pg_trgm" schema "extensions" version "1.5";' in dry.out
    assert site.rows(INSTALLED) == []
    answer = site("db.extensions")
    assert answer.code == 0, answer.err
    assert site.rows(INSTALLED) == [
        ("hstore", "1.8", "public"),
        ("pg_trgm", "1.5", "extensions"),
        ("pgcrypto", "1.3", "public"),
    ]
    again = site("db.extensions")
    assert (again.code, "nothing to change" in again.out) == (0, True)


def test_an_update_and_a_move(site: Site) -> None:
    with site.connect("database_url") as owner:
        owner.execute("create extension pg_trgm version '1.3'")
    listed(site, "pg_trgm@1.5")
    assert site("db.extensions").code == 0  # the owner may update, and not move
    assert site.rows(INSTALLED) == [("pg_trgm", "1.5", "public")]
    listed(site, "text.pg_trgm@1.6")
    assert site("db.extensions").code == exits.PERMISSION
    site.users["admin_url"] = "owner"
    listed(site, "text.pg_trgm@1.6")
    answer = site("db.extensions")
    assert answer.code == 0, answer.err
    assert "is 1.5: update to 1.6; is in schema public: move to text" in answer.out
    assert site.rows(INSTALLED) == [("pg_trgm", "1.6", "text")]


def test_those_that_are_needed_come_first(site: Site) -> None:
    site.users["admin_url"] = "owner"
    listed(site, "earthdistance", "cube")
    assert site("db.extensions").code == 0
    assert [row[0] for row in site.rows(INSTALLED)] == ["cube", "earthdistance"]


def test_what_is_not_listed_is_named_and_stays(site: Site) -> None:
    site.rows("create extension citext")
    listed(site, "pgcrypto")
    assert "citext" in site("db.extensions", "--dry-run").out
    assert site("db.extensions").code == 0
    again = site("db.extensions")
    assert "not listed and left alone: citext" in again.out
    assert [row[0] for row in site.rows(INSTALLED)] == ["citext", "pgcrypto"]


REFUSED = {
    "not on the server": (
        ("vector",),
        exits.DEPENDENCY,
        "does not have extension vector",
        "apt-get install postgresql-15-pgvector",
    ),
    "misspelt": (("pgtrgm",), exits.DEPENDENCY, "did you mean 'pg_trgm'?", "apt-cache search"),
    "no such version": (
        ("pg_trgm@9.9",),
        exits.DEPENDENCY,
        "does not have version 9.9 of extension pg_trgm",
        "its contrib part has it",
    ),
    "another is needed": (
        ("earthdistance",),
        exits.CONFIGURATION,
        "extension earthdistance needs cube",
        "list it",
    ),
    "twice": (("cube", "cube@1.5"), exits.CONFIGURATION, "lists cube twice", ""),
    "not trusted": (
        ("pg_stat_statements",),
        exits.PERMISSION,
        "may not deploy pg_stat_statements",
        'run in {n}: create extension "pgcrypto"; create extension "pg_stat_statements"',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_before_anything(site: Site, case: str) -> None:
    names, code, message, hint = REFUSED[case]
    listed(site, "pgcrypto", *names)
    answer = site("db.extensions")
    assert answer.code == code, answer.err
    assert message in answer.err and hint.format(n=site.name) in answer.err
    assert site.rows(INSTALLED) == []


def test_a_downgrade_is_refused_and_says_where_it_can_go(site: Site) -> None:
    with site.connect("database_url") as owner:
        owner.execute("create extension pg_trgm version '1.5'")
    listed(site, "pg_trgm@1.3")
    answer = site("db.extensions")
    assert answer.code == exits.CONFIGURATION
    assert "cannot go from 1.5 to 1.3: it can go to 1.6" in answer.err


def test_one_that_cannot_move_is_refused(site: Site) -> None:
    site.rows("create extension adminpack")
    listed(site, "public.adminpack")
    answer = site("db.extensions")
    assert (answer.code, "it is not relocatable" in answer.err) == (exits.CONFIGURATION, True)


def test_the_administrator_does_what_the_owner_may_not(site: Site) -> None:
    site.users["admin_url"] = "owner"
    listed(site, "tools.pg_stat_statements")
    answer = site("db.extensions")
    assert answer.code == 0, answer.err
    assert "the administrator, because the owner may not" in answer.out
    assert site.rows(INSTALLED) == [("pg_stat_statements", "1.10", "tools")]
    assert site.rows(
        "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'tools'"
    ) == [(f"{site.name}_own",)]
    assert "nothing to change" in site("db.extensions").out


def test_one_that_fails_leaves_none_behind(site: Site) -> None:
    site.rows("create table cube (id int)")
    site.rows("create type gtrgm as (id int)")
    listed(site, "pgcrypto", "pg_trgm")
    answer = site("db.extensions")
    assert answer.code == exits.GENERAL
    assert site.rows(INSTALLED) == []


def test_mysql_is_refused_in_one_line(site: Site) -> None:
    listed(site, "pgcrypto")
    text = (site.folder / "ops.toml").read_text()
    (site.folder / "ops.toml").write_text(text.replace('"postgres"', '"mysql"'))
    answer = site("db.extensions")
    assert (answer.code, "does not support MySQL yet" in answer.err) == (3, True)
