"""Harm to a backup at each of its moments: nothing half-done is ever listed, and the next run needs no hand."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.backup import archive, storage
from ops.backup.manifest import SUFFIX
from tests.conftest import lacking
from tests.support import forks
from tests.support.postgres import Postgres
from tests.support.sample import Ended, ended
from tests.support.vault import Vault

pytestmark = pytest.mark.faults
SMALL, BIG = "small", "big"
LARGE = 700_000
"""Rows of the large database: enough that its dump can be caught in the middle."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        with made.connect("postgres") as connection:
            connection.execute(f"create database {SMALL}".encode())
            connection.execute(f"create database {BIG}".encode())
        with made.connect(SMALL) as connection:
            connection.execute("create table small as select n from generate_series(1, 100) n")
        with made.connect(BIG) as connection:
            text = "md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text)"
            rows = f"select n as id, {text} as text from generate_series(1, {LARGE}) n"
            connection.execute(f"create table large as {rows}".encode())
        yield made


@pytest.fixture
def small(tmp_path: Path, server: Postgres) -> Vault:
    return Vault(tmp_path, server.url(SMALL))


@pytest.fixture
def large(tmp_path: Path, server: Postgres) -> Vault:
    return Vault(tmp_path, server.url(BIG))


class Nowhere:
    """Takes a dump and forgets it."""

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        pass


def assert_only_whole(vault: Vault) -> int:
    """Assert that every listed backup is whole; return how many there are."""
    context = vault.context()
    for each in vault.backups():
        archive.copy(context, each, storage.of(context), Nowhere(), None)
    return len(vault.backups())


def assert_clean(vault: Vault, count: int) -> None:
    """Assert that there are so many whole backups and nothing else."""
    assert assert_only_whole(vault) == count
    whole = {name for each in vault.backups() for name in (each.archive, each.file)}
    assert set(vault.names()) == whole


def assert_next_run_is_good(vault: Vault, before: int) -> None:
    ran = vault.run("backup", "--quiet")
    assert ran.code == 0, ran.err
    assert_clean(vault, before + 1)
    last = vault.last_run()
    assert last is not None and last[0].state == "done"


def eventually(test: Callable[[], bool], process: forks.Process) -> None:
    """Wait for something that happens while a task runs."""
    end = time.monotonic() + 60
    while not test():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(f"its moment never came: {ended(process)}")
        time.sleep(0.002)


def caught(vault: Vault) -> tuple[forks.Process, psutil.Process]:
    """Start a backup and stop it in the middle of the data; return it with its pg_dump."""
    process = vault.start("backup")

    def writes() -> bool:
        return any(path.stat().st_size > 100_000 for path in vault.own.glob("*.partial"))

    eventually(writes, process)
    os.kill(process.pid, signal.SIGSTOP)
    (tool,) = [
        each for each in psutil.Process(process.pid).children() if each.name().startswith("pg_dump")
    ]
    assert not vault.backups()
    return process, tool


def go_on(process: forks.Process) -> Ended:
    os.kill(process.pid, signal.SIGCONT)
    return ended(process)


def is_gone(tool: psutil.Process) -> bool:
    return not tool.is_running() or tool.status() == psutil.STATUS_ZOMBIE


EVENTS = [
    "run.started:",
    "step.started:backup",
    "step.acted:backup",
    "step.done:backup",
    "run.done:",
]


@pytest.mark.parametrize("event", EVENTS)
def test_kill_at_each_event(small: Vault, event: str) -> None:
    ran = small.run("backup", fault=f"kill:{event}")
    assert ran.code == -signal.SIGKILL, ran.err
    there = assert_only_whole(small)
    assert there == (event not in EVENTS[:2])
    last = small.last_run()
    if event != "run.done:":
        assert last is not None
        resumed = small.run("runs.resume", last[0].id)
        assert resumed.code == 0, resumed.err
        assert_clean(small, 1)
        there = 1
    assert_next_run_is_good(small, there)


@pytest.mark.parametrize("event", EVENTS[:3])
def test_a_signal_at_each_event_takes_everything_back(small: Vault, event: str) -> None:
    ran = small.run("backup", fault=f"SIGTERM:{event}")
    assert ran.code == 128 + signal.SIGTERM, ran.err
    assert small.names() == []
    assert_next_run_is_good(small, 0)


def test_killed_between_archive_and_manifest(small: Vault) -> None:
    assert small.run("backup", fault="kill:step.acted:backup").code == -signal.SIGKILL
    (described,) = small.own.glob(f"*{SUFFIX}")
    described.unlink()  # as if it had been killed a moment earlier
    assert small.backups() == []
    assert "incomplete, no manifest" in small.run("backup.list").out
    last = small.last_run()
    assert last is not None
    assert small.run("runs.resume", last[0].id).code == 0
    assert_clean(small, 1)


def test_undo_of_a_killed_run_removes_what_it_made(small: Vault) -> None:
    first = small.taken()
    assert small.run("backup", fault="kill:step.acted:backup").code == -signal.SIGKILL
    last = small.last_run()
    assert last is not None and len(small.backups()) == 2
    assert small.run("runs.undo", last[0].id).code == 0
    assert small.backups() == [first]
    assert_clean(small, 1)


@pytest.mark.parametrize("verb", ["new", "resume", "undo"])
def test_kill_in_the_middle_of_the_data(large: Vault, verb: str) -> None:
    process, tool = caught(large)
    process.kill()
    ended(process)
    assert [name for name in large.names() if not name.endswith(".partial")] == []
    assert "prod has no backup" in large.run("backup.list").out
    if verb != "new":
        last = large.last_run()
        assert last is not None
        ran = large.run(f"runs.{verb}", last[0].id)
        assert ran.code == 0, ran.err
        assert is_gone(tool)
        assert assert_only_whole(large) == (verb == "resume")
    assert_next_run_is_good(large, int(verb == "resume"))
    assert is_gone(tool)


def test_a_signal_in_the_middle_of_the_data_ends_it_at_once(large: Vault) -> None:
    process, tool = caught(large)
    os.kill(process.pid, signal.SIGTERM)
    ran = go_on(process)
    assert ran.code == 128 + signal.SIGTERM, ran.err
    assert large.names() == [] and is_gone(tool)
    assert_next_run_is_good(large, 0)


def test_kill_of_pg_dump(large: Vault) -> None:
    process, tool = caught(large)
    tool.kill()
    ran = go_on(process)
    assert ran.code == 1 and "pg_dump failed: ended by SIGKILL" in ran.err, ran.err
    assert large.names() == []
    assert_next_run_is_good(large, 0)


def test_a_server_that_stops_in_the_middle(large: Vault, server: Postgres) -> None:
    process, tool = caught(large)
    server.stop("immediate")
    ran = go_on(process)
    assert ran.code == 4 and ran.err.count("error: ") == 1, ran.err
    assert large.names() == [] and is_gone(tool)
    refused = large.run("backup")
    assert refused.code == 4 and "cannot connect" in refused.err
    server.start()
    assert_next_run_is_good(large, 0)


def test_a_signal_while_a_table_is_locked(small: Vault, server: Postgres) -> None:
    with server.connect(SMALL) as holder, holder.transaction():
        holder.execute("lock table small in access exclusive mode")
        process = small.start("backup")
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        with server.connect("postgres") as looker:

            def both_wait() -> bool:
                row = looker.execute(waiting.encode()).fetchone()
                return row is not None and row[0] == 2

            eventually(both_wait, process)  # pg_dump, and the one that counts rows
        os.kill(process.pid, signal.SIGTERM)
        ran = ended(process)
    assert ran.code == 128 + signal.SIGTERM, ran.err
    assert small.names() == []
    assert_next_run_is_good(small, 0)


@pytest.fixture
def tight() -> Iterator[Path]:
    """A file system of its own that is soon full."""
    with tempfile.TemporaryDirectory(prefix="invops-small-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", name]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            lacking("this user or container may not mount a small file system")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def test_a_full_disk_at_the_destination(large: Vault, tight: Path) -> None:
    large.configure(f'destination = "{tight}"')
    ran = large.run("backup")
    assert ran.code == 1 and "No space left on device" in ran.err, ran.err
    assert ran.err.count("error: ") == 1 and "df -h" in ran.err
    assert large.backups() == []
    assert [path for path in tight.rglob("*") if path.is_file()] == []
    large.configure()
    assert_next_run_is_good(large, 0)
