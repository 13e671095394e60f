"""What a backup takes and shows while it runs: constant memory, no secret; and the embedded server that it starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.database import sql, target
from tests.conftest import require
from tests.support.places import end, place
from tests.support.postgres import Postgres
from tests.support.sample import ended
from tests.support.vault import Vault

pytestmark = pytest.mark.integration
PASSWORD = "hunter2-is-secret"
MEGABYTES = 60
MOST_RESIDENT = 100_000
"""Kilobytes of resident memory that our process may take whatever the size of the database."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        with made.connect("postgres") as connection:
            connection.execute(f"create role app login password '{PASSWORD}'".encode())
        yield made


def with_password(server: Postgres, name: str) -> str:
    return server.url(name, "app").replace("app@", f"app:{PASSWORD}@")


@pytest.fixture
def vault(tmp_path: Path, server: Postgres) -> Vault:
    return Vault(tmp_path, server.url("postgres"))


def test_the_password_is_in_no_command_line(vault: Vault, server: Postgres) -> None:
    vault.url = with_password(server, database_of(server, 20))
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for process in psutil.process_iter():
                try:
                    seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        ran = vault.run("backup")
    finally:
        done.set()
        watcher.join()
    assert ran.code == 0, ran.err
    assert any("pg_dump --format=custom" in each and "--dbname=" in each for each in seen)
    assert not [each for each in seen if PASSWORD in each]
    written = [path.read_bytes() for path in vault.folder.rglob("*") if path.is_file()]
    assert not [each for each in written if PASSWORD.encode() in each]


def database_of(server: Postgres, megabytes: int) -> str:
    """A database of the owner `app` whose dump has about this size and compresses like text."""
    name = server.create()
    with server.connect("postgres") as connection:
        connection.execute(f"alter database {name} owner to app".encode())
    with server.connect(name, "app") as connection:
        words = "md5(n::text) || md5((n + 1)::text) || repeat(' word', 7)"
        rows = f"select n as id, {words} as text from generate_series(1, {megabytes * 9000}) n"
        connection.execute(f"create table big as {rows}".encode())
    return name


def test_memory_stays_the_same_whatever_the_size(
    vault: Vault, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)  # what measures the tests takes memory itself
    vault.url = server.url(database_of(server, MEGABYTES), "app")
    made = vault.run("backup.key", "--format", "json")
    vault.configure(json.loads(made.out)["ops_toml"].removeprefix("[backup]\n"))
    process = vault.start("backup")
    highest = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        except (FileNotFoundError, ProcessLookupError):
            break
        highest = max([highest, *(int(line.split()[1]) for line in found)])
    assert ended(process).code == 0
    (backup,) = vault.backups()
    assert backup.plain_size > MEGABYTES * 0.8e6
    assert 10_000 < highest < MOST_RESIDENT, highest
    print(
        f"{backup.plain_size / 1e6:.0f} MB in {backup.seconds} s, {highest / 1000:.0f} MB resident"
    )


def test_the_embedded_server_is_started_when_it_does_not_run(tmp_path: Path) -> None:
    require("initdb", "postgresql", "/usr/lib/postgresql/*/bin")
    with place() as home:
        vault = Vault(tmp_path, "", home=home)
        context = vault.context()
        name = target.name(context)
        target.server(context, name=name)
        with sql.connect(target.owner_url(context), read_only=False) as connection:
            connection.execute("create table t as select n from generate_series(1, 7) n")
        end(home)
        dry = vault.run("backup", "--dry-run")
        assert dry.code == 10 and f"Start PostgreSQL, with database {name}" in dry.out, dry.err
        assert not target.server_of(context).running()
        first = vault.taken()
        assert [each.rows for each in first.inventory.tables] == [7]
        again = vault.run("backup", "--dry-run")
        assert "Start PostgreSQL" not in again.out and "pg_dump " in again.out
