from __future__ import annotations

import socket

import pymysql
import pytest
from pydantic import SecretStr

from ops.database import mysql, mysql_programs, mysql_url, sql
from ops.kernel import guard
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    OpsError,
    StepFailed,
)

PASSWORD = "s3cret-sentinel"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"mysql://anna:{PASSWORD}@db.example:3307/shop", "database shop on db.example:3307"),
        (f"mysql+pymysql://anna:{PASSWORD}@db.example/shop", "database shop on db.example:3306"),
        (f"mariadb://anna:{PASSWORD}@[::1]/a%20b", "database a b on [::1]:3306"),
        (f"mysql://anna:{PASSWORD}@/shop?unix_socket=/run/x.sock", "database shop on /run/x.sock"),
        (f"mysql://anna:{PASSWORD}@db.example", "db.example:3306"),
    ],
)
def test_place_of_a_url_is_told_without_user_and_password(url: str, place: str) -> None:
    assert mysql.describe(SecretStr(url)) == place
    assert sql.describe(SecretStr(url)) == place


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://a:{PASSWORD}@b/c",
        f"mysql://a:{PASSWORD}@b:port/c",
        f"mysql://a:{PASSWORD}@b/c/d",
        f"mysql://a:{PASSWORD}%ff@b/c",
        PASSWORD,
    ],
)
def test_wrong_url_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL of the database is not valid") as caught:
        mysql.connect(SecretStr(url), read_only=True).__enter__()
    assert PASSWORD not in f"{caught.value}{caught.value.why}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_another_database_keeps_everything_else() -> None:
    url = SecretStr("mysql://a%40b:p%2Fw@host:3307/one?unix_socket=/run/a b.sock&x=y&ssl_ca=/ca")
    other = mysql_url.parse(mysql_url.with_database(url, "tw/o"))
    one = mysql_url.parse(url)
    assert (other.user, other.password, other.port) == (one.user, one.password, one.port)
    assert other.options == one.options == (("unix_socket", "/run/a b.sock"), ("ssl_ca", "/ca"))
    assert (one.user, one.password.get_secret_value(), other.database) == ("a@b", "p/w", "tw/o")
    assert "p/w" not in mysql_url.without_password(url)


def test_password_is_no_argument() -> None:
    parts = mysql_url.parse(SecretStr(f"mysql://anna:{PASSWORD}@db.example/shop?ssl_ca=/ca.pem"))
    assert not any(PASSWORD in each for each in parts.arguments)
    assert parts.arguments[0] == "--no-defaults"
    assert "--ssl-ca=/ca.pem" in parts.arguments
    assert parts.environment == {"MYSQL_PWD": PASSWORD}


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_server_that_does_not_answer_is_named(host: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        url = SecretStr(f"mysql://anna:{PASSWORD}@{host}:{port}/shop")
        with pytest.raises(ConnectionFailed, match=f"database shop on {host}:{port}") as caught:
            mysql.connect(url, read_only=True).__enter__()
    assert PASSWORD not in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pymysql.OperationalError(1049, "Unknown database 'x'"), ConfigurationError),
        (pymysql.OperationalError(1044, "Access denied for user to database"), NotPermitted),
        (pymysql.OperationalError(1142, "SELECT command denied"), NotPermitted),
        (pymysql.OperationalError(1227, "you need SUPER"), NotPermitted),
        (pymysql.InternalError(1792, "READ ONLY transaction"), NotPermitted),
        (pymysql.OperationalError(1205, "Lock wait timeout"), StepFailed),
        (pymysql.ProgrammingError(1146, "no table"), StepFailed),
        (pymysql.OperationalError(2013, "Lost connection"), ConnectionFailed),
        (pymysql.OperationalError(1053, "Server shutdown"), ConnectionFailed),
        (pymysql.InterfaceError(0, ""), ConnectionFailed),
    ],
)
def test_errors_of_the_driver_become_errors_of_the_tree(
    error: pymysql.Error, expected: type[OpsError]
) -> None:
    with (
        pytest.raises(OpsError, match="reading orders") as caught,
        mysql.translated("reading orders"),
    ):
        raise error
    assert type(caught.value) is expected
    assert caught.value.why


def test_change_in_a_dry_run_is_a_refused_effect() -> None:
    with (
        guard.scope(guard.Mode.DRY_RUN),
        pytest.raises(EffectRefused),
        mysql.translated("adding a row"),
    ):
        raise pymysql.InternalError(1792, "Cannot execute statement in a READ ONLY transaction")


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu", "MariaDB 10.11"),
        ("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)", "MariaDB 11.4"),
        ("mysqldump  Ver 8.0.40 for Linux on x86_64 (MySQL Community Server)", "MySQL 8.0"),
        ("10.11.19-MariaDB", "MariaDB 10.11"),
        ("8.4.3", "MySQL 8.4"),
    ],
)
def test_programs_and_servers_are_told_apart(said: str, title: str) -> None:
    assert mysql_programs.version(said).title == title


@pytest.mark.parametrize(
    ("tool", "server", "fits"),
    [
        ("10.11.2-MariaDB", "10.11.19-MariaDB", True),
        ("11.4.1-MariaDB", "10.11.19-MariaDB", True),
        ("10.6.1-MariaDB", "10.11.19-MariaDB", False),
        ("8.4.1", "10.11.19-MariaDB", False),
        ("11.4.1-MariaDB", "8.0.40", False),
    ],
)
def test_a_program_serves_its_own_vendor_up_to_its_version(
    tool: str, server: str, fits: bool
) -> None:
    assert mysql_programs.version(tool).serves(mysql_programs.version(server)) is fits
