"""URLs for programs of PostgreSQL and for persons: never with the password."""

from __future__ import annotations

import dataclasses

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from ops.backup.engines import Unverifiable, libpq
from ops.hosts import tools
from ops.kernel.errors import ConfigurationError
from tests.backup.manifests import manifest
from tests.support.local import project

SENTINEL = "p@ss:w/rd'"
URL = SecretStr("postgresql://an%20na:p%40ss%3Aw%2Frd%27@db.example:6543/shop?sslmode=require")


def test_password_goes_by_environment() -> None:
    argument, variables = libpq.client(URL)
    assert variables == {"PGPASSWORD": SENTINEL}
    assert SENTINEL not in argument
    option, _, value = argument.partition("=")
    assert option == "--dbname"
    assert conninfo_to_dict(value) == {
        "user": "an na",
        "dbname": "shop",
        "host": "db.example",
        "port": "6543",
        "sslmode": "require",
    }
    assert libpq.client(SecretStr("postgresql:///shop"))[1] == {}


def test_other_database_of_the_same_server() -> None:
    other = libpq.at(URL, 'it\'s "mine"')
    assert libpq.name(other) == 'it\'s "mine"'
    assert libpq.client(other)[1] == {"PGPASSWORD": SENTINEL}
    assert libpq.name(libpq.at(SecretStr("postgresql+psycopg://h/x"), "y")) == "y"


def test_url_without_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names no database"):
        libpq.name(SecretStr("postgresql://anna@db.example"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL.get_secret_value(), "postgresql://an%20na@db.example:6543/shop"),
        ("postgresql://a:b@[::1]/shop", "postgresql://a@[::1]/shop"),
        (
            "postgresql://a:b@/x y?host=/run/pg".replace(" ", "%20"),
            "postgresql://a@/x%20y?host=/run/pg",
        ),
        ("postgresql:///shop?host=/run&port=6543", "postgresql:///shop?host=/run&port=6543"),
        ("postgresql:///shop", "postgresql:///shop"),
    ],
)
def test_url_for_a_person_has_no_password(url: str, shown: str) -> None:
    assert libpq.shown(SecretStr(url)) == shown


def test_name_is_quoted_for_sql() -> None:
    assert libpq.quoted('a "b"') == '"a ""b"""'


@pytest.mark.parametrize(
    ("tool", "major"), [("pg_dump 15.9", 15), ("pg_dump 18beta1", 18), ("", 0)]
)
def test_version_of_the_dump(tool: str, major: int) -> None:
    assert libpq.dump_major(dataclasses.replace(manifest(), tool=tool)) == major


def test_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with project() as made:
        with pytest.raises(Unverifiable, match="pg_restore 99 or newer") as caught:
            libpq.program(made.context, "pg_restore", 99)
        assert "postgresql-client-99" in caught.value.hint
        monkeypatch.setattr(tools, "folders", lambda *_: iter(()))
        with pytest.raises(Unverifiable) as caught:
            libpq.program(made.context, "pg_restore", 15)
        assert caught.value.why == ""
