"""inv db.init on a real server that asks for passwords: least privilege, a second run, drift repaired, refusals."""

from __future__ import annotations

import psycopg
import pytest

from ops.kernel import exits
from tests.support.roles import Site


def test_a_dry_run_shows_every_object_and_the_sql_without_passwords_and_makes_nothing(
    empty: Site,
) -> None:
    answer = empty("db.init", "--dry-run")
    assert answer.code == exits.DRY_RUN, answer.err
    for each in (f"role {empty.name}_own", f"database {empty.name}", "schema sales", "missing"):
        assert each in answer.out
    assert f'create database "{empty.name}" owner "{empty.name}_own";' in answer.out
    assert f"create role \"{empty.name}_app\" login password '***';" in answer.out
    assert "alter default privileges for role" in answer.out
    assert "secret" not in answer.out + answer.err
    with empty.server.connect("postgres") as connection:
        found = connection.execute(
            "select from pg_roles where rolname like %s", [f"{empty.name}%"]
        ).fetchall()
    assert found == []


def test_a_second_run_changes_nothing_and_says_so(site: Site) -> None:
    answer = site("db.init")
    assert (answer.code, answer.out.partition(":")[0]) == (0, "nothing to change")


ALLOWED = {
    "migration_url": ("create table {s}.x (id int)", "drop table {s}.x", "create schema extra"),
    "database_url": (
        "insert into {s}.{t} default values",
        "select * from {s}.{t}",
        "update {s}.{t} set id = default",
        "delete from {s}.{t}",
    ),
    "reader_url": ("select * from {s}.{t}",),
}
REFUSED = {
    "migration_url": ("create role other", "create database other"),
    "database_url": (
        "create table {s}.y (id int)",
        "truncate {s}.{t}",
        "drop table {s}.{t}",
        "create schema other",
        "create temporary table t (id int)",
        "alter table {s}.{t} add column more int",
        "create role other",
    ),
    "reader_url": (
        "insert into {s}.{t} default values",
        "update {s}.{t} set id = default",
        "delete from {s}.{t}",
        "truncate {s}.{t}",
        "create table {s}.y (id int)",
        "create temporary table t (id int)",
    ),
}


def test_each_role_may_do_its_work_and_no_more_also_on_tables_that_came_later(site: Site) -> None:
    for schema, table in (("public", "orders"), ("sales", "totals")):
        for key, texts in REFUSED.items():
            for text in texts:
                with (
                    site.connect(key) as connection,
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                ):
                    connection.execute(text.format(s=schema, t=table).encode())
        for key, texts in ALLOWED.items():
            with site.connect(key) as connection:
                for text in texts:
                    connection.execute(text.format(s=schema, t=table).encode())
                (
                    connection.execute("drop schema if exists extra")
                    if key == "migration_url"
                    else None
                )


def test_nobody_else_may_enter(site: Site) -> None:
    site.rows(f"create role {site.name}_other login password 'other-secret'")
    site.users["other"] = f"{site.name}_other:other-secret"
    with pytest.raises(psycopg.OperationalError, match="CONNECT privilege"):
        site.connect("other")


def test_passwords_reach_the_server_as_verifiers_only(site: Site) -> None:
    found = site.rows(f"select rolpassword from pg_authid where rolname like '{site.name}%'")
    assert found and all(str(row[0]).startswith("SCRAM-SHA-256$") for row in found)


def test_without_admin_url_it_says_so(empty: Site) -> None:
    del empty.users["admin_url"]
    empty.write()
    answer = empty("db.init")
    assert (answer.code, "has no admin_url" in answer.err) == (exits.CONFIGURATION, True)


def test_a_role_that_is_not_given_is_not_made_and_that_is_said(empty: Site) -> None:
    del empty.users["reader_url"], empty.users["migration_url"]
    empty.write()
    answer = empty("db.init", "--dry-run")
    assert "no reader_url: no read-only role" in answer.out
    assert "the application's role is the owner too" in answer.out
    assert empty("db.init").code == 0
    assert "nothing to change" in empty("db.init").out
    with empty.connect("database_url") as connection:
        connection.execute("create table orders (id int)")


def test_the_database_of_another_application_is_refused(site: Site) -> None:
    site.write(app="billing")
    answer = site("db.init")
    assert answer.code == exits.CONFIGURATION
    assert f"database {site.name} belongs to shop, environment production" in answer.err


def test_a_full_database_of_somebody_else_is_refused(empty: Site) -> None:
    with empty.server.connect("postgres") as connection:
        connection.execute(f'create database "{empty.name}"'.encode())
    empty.rows("create table theirs (id int)")
    answer = empty("db.init")
    assert (answer.code, "is owned by owner and has tables" in answer.err) == (3, True)


def test_an_administrator_is_never_demoted(empty: Site) -> None:
    with empty.server.connect("postgres") as connection:
        connection.execute(f"create role {empty.name}_app superuser".encode())
    answer = empty("db.init")
    assert (answer.code, "has superuser and is not one that db.init made" in answer.err) == (
        3,
        True,
    )


def test_an_administrator_without_superuser_can_do_it_and_keeps_nothing(empty: Site) -> None:
    admin = f"{empty.name}_admin"
    with empty.server.connect("postgres") as connection:
        connection.execute(
            f"create role {admin} login createdb createrole password 'admin-secret'".encode()
        )
    empty.users["admin_url"] = f"{admin}:admin-secret"
    answer = empty("db.init")
    assert answer.code == 0, answer.err
    assert "nothing to change" in empty("db.init").out
    with empty.connect("migration_url") as owner:
        owner.execute("create table orders (id serial)")
    empty.rows(f"revoke select on orders from {empty.name}_read")
    assert empty("db.init").code == 0
    with empty.connect("reader_url") as reader:
        reader.execute("select * from orders")
    members = empty.rows(f"select pg_has_role('{admin}', '{empty.name}_own', 'usage')")
    assert members == [(False,)]


def test_one_user_for_two_roles_is_refused(empty: Site) -> None:
    empty.users["reader_url"] = empty.users["database_url"]
    answer = empty("db.init")
    assert (answer.code, "one role cannot be two" in answer.err) == (exits.CONFIGURATION, True)


def test_a_wrong_password_of_the_administrator_is_one_line(empty: Site) -> None:
    empty.users["admin_url"] = "nobody:wrong-secret"
    answer = empty("db.init")
    assert (answer.code, "cannot connect" in answer.err) == (exits.CONNECTION, True)
    assert "secret" not in answer.err


def test_mysql_is_refused_in_one_line(empty: Site) -> None:
    text = (empty.folder / "ops.toml").read_text()
    (empty.folder / "ops.toml").write_text(text.replace('"postgres"', '"mysql"'))
    answer = empty("db.init")
    assert (answer.code, "db.init does not support MySQL yet" in answer.err) == (3, True)
