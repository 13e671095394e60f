"""A database of MariaDB in the place of another one: everything is moved, a kill anywhere is made good."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.database import mysql, mysql_code, mysql_move
from ops.kernel import guard
from ops.kernel.errors import EffectRefused, StepFailed
from tests.support.mariadb import Mariadb
from tests.support.mysql_dumps import code, definitions, tables

AWKWARD = Path(__file__).parent / "data" / "awkward_mysql.sql"
SMALL = """
create table parent (id int primary key, v text);
create table child (id int primary key, parent int, constraint c foreign key (parent) references parent (id));
insert into parent values (1, '{v}');
insert into child values (1, 1);
create table log (v text);
create function f() returns int deterministic return 1;
create view b as select v, f() as one from parent;
create view a as select * from b;
create trigger t after insert on child for each row insert into log values ('{v}');
create event e on schedule every 1 day disable do delete from log;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    with Mariadb.begin() as made:
        yield made


def look(server: Mariadb, name: str) -> Any:
    with server.connect(name) as connection:
        return tables(connection), definitions(connection), code(connection)


def filled(server: Mariadb, name: str, what: str) -> Any:
    server.create(name)
    server.run(name, SMALL.format(v=what))
    return look(server, name)


def names(server: Mariadb, like: str) -> set[str]:
    return {name for (name,) in server.ask("", f"show databases like '{like}'")}


def test_awkward_database_gets_another_name(server: Mariadb) -> None:
    server.create("bad")
    server.run("bad", AWKWARD.read_text("utf-8"))
    before = look(server, "bad")
    mysql_move.move(server.url("bad"), [("bad", "bad new")], "restored")
    assert mysql_move.marks(server.url("bad"))["bad new"] == "restored"
    assert "bad" not in names(server, "bad%")
    mysql_move.mark(server.url("bad new"), "bad new", "")
    after = look(server, "bad new")
    assert after == before


def test_databases_change_places(server: Mariadb) -> None:
    old, new = filled(server, "live", "old"), filled(server, "beside", "new")
    mysql_move.mark(server.url("live"), "beside", "whole")
    mysql_move.move(server.url("live"), [("live", "kept"), ("beside", "live")], "replaced")
    assert look(server, "live") == new
    marks = mysql_move.marks(server.url("live"))
    assert (marks["live"], marks["kept"], "beside" in marks) == ("", "replaced", False)
    server.run("live", "insert into child values (2, 1)")
    assert server.ask("live", "select v from log") == (("new",),)
    # And back.
    mysql_move.move(server.url("live"), [("live", "beside"), ("kept", "live")], "whole")
    assert look(server, "live") == old


def test_a_reader_sees_one_or_the_other_whole(server: Mariadb) -> None:
    filled(server, "seen", "old")
    filled(server, "unseen", "new")
    if os.fork() == 0:
        mysql_move.move(server.url("seen"), [("seen", "hidden"), ("unseen", "seen")], "x")
        os._exit(0)
    statement = "select parent.v, count(*) from parent join child on parent.id = parent group by 1"
    answers: list[str] = []
    while not answers or answers[-1] == "old":
        ((answer, count),) = server.ask("seen", statement)
        assert count == 1
        answers.append(answer)
    os.wait()
    assert set(answers) <= {"old", "new"}


@pytest.mark.parametrize("number", [4, 12, 20, 34, 42, 50, 62, 74, 90])
def test_a_move_that_was_killed_goes_on(server: Mariadb, number: int) -> None:
    live, beside, kept = (f"k{number}_{each}" for each in ("live", "beside", "kept"))
    old, new = filled(server, live, "old"), filled(server, beside, "new")
    ways, url = [(live, kept), (beside, live)], server.url(live)
    pid = os.fork()
    if pid == 0:
        _kill_at(number)
        mysql_move.move(url, ways, "replaced")
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    mysql_move.move(url, ways, "replaced")
    assert look(server, live) == new
    assert names(server, f"k{number}\\_%") == {live, kept}
    assert mysql_move.marks(url)[kept] == "replaced"
    mysql_move.mark(url, kept, "")
    assert look(server, kept) == old


def _kill_at(number: int) -> None:
    """Let this process die before the statement of this number: a fault, no other behaviour."""
    left, run = [number], mysql.rows

    def rows(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(*arguments)

    for module in (mysql, mysql_move, mysql_code):
        module.rows = rows  # type: ignore[attr-defined]


def test_a_table_in_use_stops_the_move_and_nothing_is_moved(
    server: Mariadb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_move, "LOCK_SECONDS", 1)
    filled(server, "used", "old")
    filled(server, "waiting", "new")
    ways = [("used", "away"), ("waiting", "used")]
    with server.connect("used") as busy, busy.cursor() as cursor:
        cursor.execute("start transaction")
        cursor.execute("select * from parent")
        with pytest.raises(StepFailed, match="cannot use") as caught:
            mysql_move.move(server.url("used"), ways, "replaced")
        assert "Lock wait timeout" in caught.value.why
        assert cursor.execute("select v from parent where v = 'old'") == 1
    mysql_move.move(server.url("used"), ways, "replaced")
    assert server.ask("used", "select v from a") == (("new",),)


def test_a_dry_run_moves_nothing(server: Mariadb) -> None:
    before = filled(server, "dry", "old")
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused):
        mysql_move.move(server.url("dry"), [("dry", "wet")], "x")
    assert look(server, "dry") == before
    assert names(server, "wet") == set()
