"""A scratch MariaDB: ours alone, gone with its process; connections that may not change anything."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from ops.database import mysql, mysql_programs, scratch_mysql
from ops.kernel import guard
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    DependencyError,
    EffectRefused,
    NotPermitted,
    OpsError,
)
from tests.support.local import Project, eventually, is_root, project
from tests.support.mariadb import PASSWORD, Mariadb


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    with Mariadb.begin() as made:
        yield made


@pytest.fixture(scope="module")
def shop() -> Iterator[Project]:
    with project() as made:
        yield made


def users(folder: str) -> list[psutil.Process]:
    return [
        each for each in psutil.process_iter(["cmdline"]) if folder in str(each.info["cmdline"])
    ]


def test_it_takes_changes_in_a_dry_run_and_is_gone_afterwards(shop: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN), scratch_mysql.server(shop.context) as made:
        with mysql.connect(made.make("x"), read_only=False) as connection:
            mysql.rows(connection, "create table t (id int)")
        folder = made.socket.parent
        assert folder.stat().st_mode & 0o777 == 0o700
        servers = [each for each in users(str(folder)) if "mariadbd" in each.name()]
        assert servers
        assert not is_root() or {each.uids().real for each in servers} != {0}
    assert not folder.exists()
    assert eventually(lambda: not users(str(folder)))


def test_it_is_gone_after_its_process_was_killed(shop: Project) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with scratch_mysql.server(shop.context) as made:
            os.write(writing, str(made.socket.parent).encode())
            signal.pause()
    os.close(writing)
    folder = os.read(reading, 1000).decode()
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert eventually(lambda: not users(folder) and not os.path.exists(folder))


def test_one_that_is_new_enough_is_named_when_it_is_missing(shop: Project) -> None:
    least = mysql_programs.version("99.1.0-MariaDB")
    with pytest.raises(DependencyError, match=r"MariaDB 99\.1 or newer is not on this machine"):
        scratch_mysql.server(shop.context, least=least).__enter__()


@pytest.mark.parametrize(
    "statement",
    ["insert into t values (1)", "drop table t", "create table u (id int)", "create database w"],
)
@pytest.mark.parametrize("mode", [guard.Mode.DRY_RUN, guard.Mode.READ])
def test_the_server_refuses_changes_in_a_dry_run(
    server: Mariadb, mode: guard.Mode, statement: str
) -> None:
    name = server.create()
    server.run(name, "create table t (id int)")
    with guard.scope(mode), pytest.raises(EffectRefused):  # noqa: SIM117
        with mysql.connect(server.url(name), read_only=False) as connection:
            mysql.rows(connection, statement)


def test_bad_input_is_one_line_of_the_right_class(server: Mariadb) -> None:
    name = server.create()
    server.run(name, "create table t (id int); create user weak identified by 'weak-password';")
    cases: list[tuple[object, type[OpsError]]] = [
        (server.url("nowhere"), ConfigurationError),
        (server.url(name, password="wrong-password"), ConnectionFailed),
        (server.url(name, "weak", "weak-password"), NotPermitted),
    ]
    for url, expected in cases:
        with pytest.raises(OpsError) as caught:
            mysql.connect(url, read_only=True).__enter__()  # type: ignore[arg-type]
        assert type(caught.value) is expected
        assert "\n" not in str(caught.value)
        assert PASSWORD not in str(caught.value)
