"""Backups of real PostgreSQL into a folder: what is in them, what is said of them, what they leave alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.backup import engines
from ops.backup.engines import Dump
from ops.backup.manifest import Inventory
from ops.kernel.errors import NotPermitted
from tests.conftest import require
from tests.support.postgres import Postgres
from tests.support.vault import Vault

pytestmark = pytest.mark.integration
PASSWORD = "hunter2-is-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        with made.connect("postgres") as connection:
            connection.execute(f"create role app login password '{PASSWORD}'")
            connection.execute("create role stranger login")
        yield made


def with_password(server: Postgres, name: str) -> str:
    return server.url(name, "app").replace("app@", f"app:{PASSWORD}@")


@pytest.fixture
def database(server: Postgres) -> str:
    """A database with two tables whose owner is no superuser."""
    name = server.create()
    with server.connect("postgres") as connection:
        connection.execute(f"alter database {name} owner to app".encode())
    with server.connect(name, "app") as connection:
        connection.execute("create table orders (id int primary key, item text)")
        connection.execute(
            "insert into orders select n, 'item ' || n from generate_series(1, 500) n"
        )
        connection.execute("create table empty ()")
    return name


@pytest.fixture
def vault(tmp_path: Path, server: Postgres, database: str) -> Vault:
    return Vault(tmp_path, with_password(server, database))


def rows(inventory: Inventory) -> dict[str, int]:
    return {f"{each.schema}.{each.name}": each.rows for each in inventory.tables}


def read(dump: Dump) -> bytes:
    return b"".join(iter(lambda: dump.read(65536), b""))


def test_a_backup_is_made_listed_and_readable_without_us(vault: Vault, server: Postgres) -> None:
    age, zstd = require("age", "age"), require("zstd", "zstd")
    made = vault.run("backup.key", "--format", "json")
    assert made.code == 0, made.err
    key = json.loads(made.out)
    assert Path(key["path"]).stat().st_mode & 0o777 == 0o600
    assert "AGE-SECRET-KEY" not in made.out + made.err
    vault.configure(key["ops_toml"].removeprefix("[backup]\n"))

    ran = vault.run("backup", "--db-type", "postgres", "--env", "prod", "--format", "json")
    assert ran.code == 0, ran.err
    (backup,) = vault.backups()
    assert json.loads(ran.out)["backup"]["id"] == backup.id
    assert vault.names() == [f"{backup.id}.dump.zst.age", f"{backup.id}.json"]
    assert backup.recipients == (key["public"],)
    assert rows(backup.inventory) == {"public.empty": 0, "public.orders": 500}
    assert (backup.purpose, backup.tool.split(".")[0]) == (
        "task",
        f"pg_dump {server_major(server)}",
    )

    stored = (vault.own / backup.archive).read_bytes()
    assert (
        subprocess.run(["sha256sum"], input=stored, capture_output=True, check=True)
        .stdout.split()[0]
        .decode()
        == backup.sha256
    )
    opened = subprocess.run(
        [age, "-d", "-i", key["path"]], input=stored, capture_output=True, check=True
    )
    plain = subprocess.run([zstd, "-q", "-d"], input=opened.stdout, capture_output=True, check=True)
    other = server.create()
    subprocess.run(
        [server.programs / "pg_restore", "-e", "--no-owner", f"--dbname={server.url(other)}"],
        input=plain.stdout,
        check=True,
    )
    with server.connect(other) as connection:
        assert connection.execute("select count(*), max(item) from orders").fetchone() == (
            500,
            "item 99",
        )

    listed = vault.run("backup.list")
    assert backup.id in listed.out and "inv backup.verify" in listed.out
    proved = vault.run("backup.key", "--prove", backup.id)
    assert (proved.code, proved.out.splitlines()[0]) == (
        0,
        f"backup {backup.id} opens with file:.ops/backup.agekey",
    )
    vault.run("backup.key", "--out", str(vault.folder / "second"))
    (vault.folder / "second").replace(key["path"])
    refused = vault.run("backup.key", "--prove", backup.id)
    assert refused.code == 3 and f"backup {backup.id} does not open" in refused.err


def server_major(server: Postgres) -> int:
    with server.connect("postgres") as connection:
        return connection.info.server_version // 10_000


def test_the_dry_run_says_what_will_be_and_changes_nothing(vault: Vault) -> None:
    ran = vault.run("backup", "--dry-run")
    assert ran.code == 10, ran.err
    for word in (str(vault.own), "nobody: not encrypted", "pg_dump ", "before compression"):
        assert word in ran.out
    assert not vault.own.exists() and PASSWORD not in ran.out + ran.err


def test_rows_are_those_of_the_snapshot_of_the_dump(
    vault: Vault, server: Postgres, database: str
) -> None:
    url, context = SecretStr(vault.url), vault.context()
    dumper = engines.dumper("postgres")
    with dumper.dump(context, url, dumper.tool(context, url)) as dump:
        with server.connect(database, "app") as connection:  # after the snapshot, before the dump
            connection.execute(
                "insert into orders select n, 'came too late' from generate_series(1000, 1999) n"
            )
            connection.execute("create table later (id int)")
        content = read(dump)
        found = dump.inventory()
    assert rows(found) == {"public.empty": 0, "public.orders": 500}
    assert b"item 500" in content and b"came too late" not in content


def test_counted_is_what_the_dump_has_the_rows_of(
    vault: Vault, server: Postgres, database: str
) -> None:
    with server.connect(database) as connection:
        connection.execute("create extension postgres_fdw")
        connection.execute("create extension hstore with schema public")
        connection.execute("create server far foreign data wrapper postgres_fdw")
        connection.execute("grant usage on foreign server far to app")
        connection.execute("create table hstore_members (a int)")
        connection.execute("alter extension hstore add table hstore_members")
    holder = server.connect(database, "app")
    for statement in (
        'create schema "odd Näme"',
        'create table "odd Näme"."a ""b"" %s" (id int)',
        'insert into "odd Näme"."a ""b"" %s" values (1), (2)',
        "create table parts (at date) partition by range (at)",
        "create table parts_a partition of parts for values from ('2026-01-01') to ('2027-01-01')",
        "insert into parts values ('2026-05-05'), ('2026-06-06')",
        "create table child () inherits (orders)",
        "insert into child values (1000, 'of the child')",
        "create unlogged table scratchpad (id int)",
        "insert into scratchpad values (1)",
        "create foreign table afar (id int) server far",
        "create materialized view summary as select count(*) from orders",
        "create temporary table mine (id int)",
        "select lo_from_bytea(0, 'large')",
    ):
        holder.execute(statement.encode())
    made = vault.taken().inventory
    holder.close()
    assert rows(made) == {
        'odd Näme.a "b" %s': 2,
        "public.child": 1,
        "public.empty": 0,
        "public.orders": 500,
        "public.parts_a": 2,
        "public.scratchpad": 1,
    }
    assert made.large_objects == 1 and set(made.extensions) == {"postgres_fdw", "hstore"}
    assert {"app", "owner"} <= set(made.roles)


def test_the_identity_of_a_database_is_not_its_url(vault: Vault, server: Postgres) -> None:
    url, context = SecretStr(vault.url), vault.context()
    dumper = engines.dumper("postgres")

    def identity(text: str) -> str:
        with dumper.dump(context, SecretStr(text), dumper.tool(context, url)) as dump:
            read(dump)
            return dump.inventory().system

    other = server.create()
    by_role = identity(vault.url)
    assert by_role == identity(vault.url.replace(f"app:{PASSWORD}", "owner") + "&sslmode=disable")
    assert by_role.partition("/")[0] == identity(server.url(other)).partition("/")[0]
    assert by_role != identity(server.url(other))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("create table closed (id int)", "role app may not read public.closed"),
        ("create schema hidden; create table hidden.t (id int)", "role app may not read hidden.t"),
        (
            "create table mine (id int); grant select on mine to app; alter table mine enable row level security",
            "role app does not see all rows of public.mine: row security",
        ),
    ],
)
def test_a_role_that_cannot_read_everything_is_refused(
    vault: Vault, server: Postgres, database: str, statement: str, said: str
) -> None:
    with server.connect(database) as connection:
        connection.execute(statement.encode())
    ran = vault.run("backup")
    assert ran.code == 5 and said in ran.err and "migration_url" in ran.err, ran.err
    assert vault.names() == []
    url, context = SecretStr(vault.url), vault.context()
    dumper = engines.dumper("postgres")
    with pytest.raises(NotPermitted), dumper.dump(context, url, dumper.tool(context, url)):
        pass


def test_a_database_without_tables_is_backed_up_only_where_that_is_right(
    vault: Vault, server: Postgres
) -> None:
    vault.url = server.url(server.create())
    ran = vault.run("backup")
    assert ran.code == 1 and "the database has no tables" in ran.err, ran.err
    assert "empty_database = true in [environments.prod]" in ran.err
    assert vault.names() == []
    vault.configure(environment="empty_database = true")
    assert vault.taken().inventory.tables == ()


def test_a_backup_that_shrinks_is_a_warning(vault: Vault, server: Postgres, database: str) -> None:
    vault.taken()
    with server.connect(database, "app") as connection:
        connection.execute("delete from orders where id > 100")
    ran = vault.run("backup", "--format", "json")
    assert ran.code == 0
    doubts = json.loads(ran.out)["backup"]["doubts"]
    assert len(doubts) == 2 and "rows fell to 100, there were 500" in doubts[1]
    assert "warning: " in ran.err


def test_a_url_with_the_name_of_a_driver_is_the_same_database(vault: Vault, database: str) -> None:
    vault.url = vault.url.replace("postgresql://", "postgresql+psycopg://")
    assert vault.taken().database == database
