from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from ops.database import sql
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
        (f"postgresql://anna:{PASSWORD}@db.example:6543/shop", "database shop on db.example:6543"),
        (
            f"postgresql+psycopg://anna:{PASSWORD}@db.example/shop",
            "database shop on db.example:5432",
        ),
        (f"postgres+asyncpg://anna:{PASSWORD}@db.example/shop", "database shop on db.example:5432"),
        (f"postgresql://anna:{PASSWORD}@/shop?host=/run/shop", "database shop on /run/shop"),
        ("postgresql:///shop", "database shop on this machine:5432"),
    ],
)
def test_place_of_a_url_is_told_without_user_and_password(url: str, place: str) -> None:
    assert sql.describe(SecretStr(url)) == place


@pytest.mark.parametrize(
    "url", [f"mysql://a:{PASSWORD}@b/c", f"postgresql://a:%{PASSWORD}@b/c", PASSWORD]
)
def test_wrong_url_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL of the database is not valid") as caught:
        sql.connect(SecretStr(url), read_only=True).__enter__()
    assert PASSWORD not in f"{caught.value}{caught.value.why}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        url = SecretStr(f"postgresql://anna:{PASSWORD}@127.0.0.1:{port}/shop")
        with pytest.raises(ConnectionFailed, match=f"database shop on 127.0.0.1:{port}") as caught:
            sql.connect(url, read_only=True).__enter__()
    assert PASSWORD not in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InsufficientPrivilege("permission denied"), NotPermitted),
        (errors.ReadOnlySqlTransaction("read-only"), NotPermitted),
        (errors.LockNotAvailable("lock timeout"), StepFailed),
        (errors.QueryCanceled("statement timeout"), StepFailed),
        (errors.UndefinedTable("no table"), StepFailed),
        (errors.AdminShutdown("terminating"), ConnectionFailed),
        (errors.ConnectionFailure("lost"), ConnectionFailed),
        (psycopg.OperationalError("server closed the connection"), ConnectionFailed),
        (psycopg.InterfaceError("closed"), StepFailed),
    ],
)
def test_errors_of_the_driver_become_errors_of_the_tree(
    error: psycopg.Error, expected: type[OpsError]
) -> None:
    with (
        pytest.raises(OpsError, match="reading orders") as caught,
        sql.translated("reading orders"),
    ):
        raise error
    assert type(caught.value) is expected
    assert caught.value.why


def test_change_in_a_dry_run_is_a_refused_effect() -> None:
    with (
        guard.scope(guard.Mode.DRY_RUN),
        pytest.raises(EffectRefused),
        sql.translated("adding a row"),
    ):
        raise errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
