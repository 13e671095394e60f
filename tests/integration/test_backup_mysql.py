"""Dumps of MariaDB: what goes in comes out, row by row and definition by definition."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from ops.backup.engines import Differs, Place
from ops.backup.engines.mysql import MysqlDumper
from ops.backup.engines.mysql_client import CLIENT, client
from ops.backup.engines.mysql_restore import MysqlRestorer
from ops.backup.manifest import Inventory
from ops.database import mysql, mysql_url
from ops.kernel.errors import OpsError, StepFailed
from tests.support.local import Project, project
from tests.support.mariadb import PASSWORD, Mariadb
from tests.support.mysql_dumps import code, definitions, dumped, fed, manifest, tables

AWKWARD = Path(__file__).parent / "data" / "awkward_mysql.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    with Mariadb.begin() as made:
        yield made


@pytest.fixture(scope="module")
def shop() -> Iterator[Project]:
    with project(seconds=200) as made:
        yield made


Dumped = tuple[bytes, Inventory]


@pytest.fixture(scope="module")
def awkward(server: Mariadb) -> str:
    name = server.create("awk-ward")
    server.run(name, AWKWARD.read_text("utf-8"))
    return name


@pytest.fixture(scope="module")
def made(server: Mariadb, shop: Project, awkward: str) -> Dumped:
    return dumped(shop.context, server.url(awkward))


def test_awkward_data_come_back_row_by_row(
    server: Mariadb, shop: Project, awkward: str, made: Dumped
) -> None:
    text, inventory = made
    tool = MysqlDumper().tool(shop.context, server.url(awkward))
    said = manifest(inventory, awkward, tool.title)
    restorer = MysqlRestorer()
    with restorer.decode(shop.context, said) as sink:
        fed(sink, text)
    with restorer.scratch(shop.context, said) as place:
        with restorer.restore(shop.context, said, place, full=True) as sink:
            fed(sink, text)
        assert restorer.inventory(shop.context, place.url).tables == inventory.tables
        with (
            mysql.connect(place.url, read_only=True) as restored,
            server.connect(awkward) as source,
        ):
            assert tables(restored) == tables(source)
            assert definitions(restored) == definitions(source)
            assert code(restored) == code(source)
        with restorer.compare(shop.context, said, place) as sink:
            fed(sink, text)
        with mysql.connect(place.url, read_only=False) as connection:
            mysql.rows(connection, "alter table tree add column more int")
            mysql.rows(connection, "drop function twice")
        with (
            pytest.raises(Differs, match="restored differently: `tree`, routines"),
            restorer.compare(shop.context, said, place) as sink,
        ):
            fed(sink, text)
    rows = {each.name: each.rows for each in inventory.tables}
    assert rows["many_rows"] == 50_000
    assert rows["history"] == 4
    assert rows["no_rows"] == 0
    assert "plain_view" not in rows
    assert {each.schema for each in inventory.tables} == {awkward}


def test_tables_without_transactions_are_named(
    server: Mariadb, shop: Project, awkward: str
) -> None:
    shop.events.clear()
    dumped(shop.context, server.url(awkward))
    (note,) = [each.message for each in shop.events if each.kind == "note"]
    assert note == (
        "2 tables have no transactions, their rows may be newer than the snapshot: aria, no_transactions"
    )


def test_rows_that_are_written_during_the_dump_are_not_counted(
    server: Mariadb, shop: Project
) -> None:
    name = server.create()
    server.run(
        name,
        "create table a (id int auto_increment primary key, v varchar(200));"
        "create table b like a; insert into a (v) select repeat('x', 150) from seq_1_to_200000;"
        "insert into b (v) select repeat('x', 150) from seq_1_to_1000;",
    )
    stop = threading.Event()

    def write() -> None:
        with server.connect(name) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("insert into a (v) values ('during')")
                cursor.execute("insert into b (v) values ('during')")
                cursor.execute("delete from a where id <= 3 limit 1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        text, inventory = dumped(shop.context, server.url(name))
    finally:
        stop.set()
        writer.join()
    said, restorer = manifest(inventory, name), MysqlRestorer()
    with restorer.scratch(shop.context, said) as place:
        with restorer.restore(shop.context, said, place, full=False) as sink:
            fed(sink, text)
        assert restorer.inventory(shop.context, place.url).tables == inventory.tables
    ((now,),) = server.ask(name, "select count(*) from b")
    assert {each.name: each.rows for each in inventory.tables}["b"] < now


def test_the_password_is_in_no_argument(server: Mariadb, shop: Project, awkward: str) -> None:
    dumper, url = MysqlDumper(), server.url(awkward)
    with dumper.dump(shop.context, url, dumper.tool(shop.context, url)) as dump:
        group, _ = shop.children[-1]
        lines = [each.cmdline() for each in psutil.process_iter() if _in(each, group)]
        while dump.read():
            pass
    assert any("dump" in line[0] for line in lines)
    assert not any(PASSWORD in word for line in lines for word in line)


def _in(process: psutil.Process, group: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.pid == group or process.ppid() == group
    return False


@pytest.mark.parametrize("size", ["half", "without footer"])
def test_a_cut_dump_is_refused_everywhere(
    server: Mariadb, shop: Project, awkward: str, made: Dumped, size: str
) -> None:
    text, inventory = made
    cut = text[: len(text) // 2] if size == "half" else text[: text.rindex(b"\n-- Dump completed")]
    said, restorer = manifest(inventory, awkward), MysqlRestorer()
    with (
        pytest.raises(StepFailed, match="is cut"),
        restorer.decode(shop.context, said) as sink,
    ):
        fed(sink, cut)
    with (
        restorer.scratch(shop.context, said) as place,
        pytest.raises(StepFailed),
        restorer.restore(shop.context, said, place, full=True) as sink,
    ):
        fed(sink, cut)


def test_a_dump_that_lacks_a_row_is_refused(
    server: Mariadb, shop: Project, awkward: str, made: Dumped
) -> None:
    text, inventory = made
    less = text.replace(b"\n(2024,", b"").replace(b"(3,NULL);", b"(3,NULL)")
    lines = text.split(b"\n")
    place = next(number for number, each in enumerate(lines) if each.startswith(b"(25000,"))
    less = b"\n".join(lines[:place] + lines[place + 1 :])
    with (
        pytest.raises(StepFailed, match="does not hold what its manifest says") as caught,
        MysqlRestorer().decode(shop.context, manifest(inventory, awkward)) as sink,
    ):
        fed(sink, less)
    assert caught.value.why == "1 tables differ, many_rows has 49999 rows in place of 50000"


def test_a_broken_statement_stops_the_restore(
    server: Mariadb, shop: Project, awkward: str, made: Dumped
) -> None:
    text, inventory = made
    broken = text.replace(b"CREATE TABLE `tree`", b"CREATE TABBLE `tree`")
    said, restorer = manifest(inventory, awkward), MysqlRestorer()
    with (
        restorer.scratch(shop.context, said) as place,
        pytest.raises(OpsError) as caught,
        restorer.restore(shop.context, said, place, full=True) as sink,
    ):
        fed(sink, broken)
    assert "TABBLE" in caught.value.why


def test_commands_in_a_dump_are_not_run(server: Mariadb, shop: Project, tmp_path: Path) -> None:
    name = server.create()
    server.run(name, "create table a (id int);")
    text, inventory = dumped(shop.context, server.url(name))
    tmp_path.chmod(0o777)
    evil = text.replace(
        b"\n-- Dump completed",
        b"\n\\! touch %s/run\nsystem touch %s/run\n-- Dump completed"
        % ((str(tmp_path).encode(),) * 2),
    )
    said, restorer = manifest(inventory, name), MysqlRestorer()
    with (
        restorer.scratch(shop.context, said) as place,
        pytest.raises(OpsError),
        restorer.restore(shop.context, said, place, full=True) as sink,
    ):
        fed(sink, evil)
    assert list(tmp_path.iterdir()) == []


def test_a_dump_goes_into_an_empty_database_only(
    server: Mariadb, shop: Project, awkward: str, made: Dumped
) -> None:
    _, inventory = made
    place = Place(server.url(awkward), {})
    with (
        pytest.raises(StepFailed, match=r"database awk-ward on .* is not empty"),
        MysqlRestorer().restore(shop.context, manifest(inventory, awkward), place, full=True),
    ):
        pass


def test_identity_does_not_depend_on_the_url(server: Mariadb, awkward: str) -> None:
    def identity(url: SecretStr) -> str:
        with mysql.connect(url, read_only=True) as connection:
            return mysql.identity(connection)

    one = identity(server.url(awkward))
    assert one == identity(server.url(awkward, "root", ""))
    assert one != identity(server.url(server.create()))
    with Mariadb.begin() as other:
        assert one != identity(other.url(other.create(awkward)))


def test_size_is_about_that_of_the_data(server: Mariadb, shop: Project, awkward: str) -> None:
    assert MysqlDumper().size(shop.context, server.url(awkward)) > 1_000_000


def test_a_restore_beside_leaves_the_source_alone(server: Mariadb, shop: Project) -> None:
    name = server.create()
    server.run(
        name,
        "create table a (id int); create trigger t before insert on a for each row set @x = 1;"
        f"alter database {name} character set latin1;",
    )
    text, inventory = dumped(shop.context, server.url(name))
    server.run(name, f"alter database {name} character set utf8mb3;")
    beside = Place(server.url(server.create()), {CLIENT: client(server.url(name))})
    said, restorer = manifest(inventory, name), MysqlRestorer()
    for size in (1, 30, len(text)):
        server.run("", f"drop database {mysql_url.parse(beside.url).database};")
        server.create(mysql_url.parse(beside.url).database)
        with restorer.restore(shop.context, said, beside, full=True) as sink:
            for start in range(0, len(text), size):
                sink.write(text[start : start + size])
        schemata = "select default_character_set_name from information_schema.schemata"
        ((found,),) = server.ask("", f"{schemata} where schema_name = '{name}'")
        assert found == "utf8mb3"
    with server.connect(mysql_url.parse(beside.url).database) as connection:
        assert code(connection)["trigger t"][-1] == "utf8mb4_general_ci"
