"""A PostgreSQL server of our own for a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.database import scratch, sql
from ops.kernel import guard
from ops.kernel.deadline import Deadline
from ops.kernel.errors import DependencyError, StepFailed
from tests.support import local
from tests.support.local import Project

pytestmark = pytest.mark.integration

HOLDER = """
import sys, time
from pathlib import Path
from ops.database import scratch
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.secrets import Secrets
read = settings.load("development", start=Path(sys.argv[1]))
with scratch.server(Context(read, Secrets(read.folder), Deadline(60))) as made:
    made.make("kept")
    print(made.socket, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Project]:
    with local.project(seconds=600) as project:
        yield project


def servers(folder: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in each.info["cmdline"] or [])
    ]


def test_it_takes_data_in_a_dry_run_and_is_gone_afterwards(made: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN), scratch.server(made.context) as server:
        with sql.connect(server.make("it's"), read_only=False) as connection:
            connection.execute("create table a (b int)")
            connection.execute("insert into a values (1)")
        with sql.connect(server.url("it's"), read_only=True) as connection:
            assert connection.execute("select b from a").fetchall() == [(1,)]
            assert connection.info.server_version // 10000 == server.major
        assert server.socket.stat().st_mode & 0o777 == 0o700
        assert servers(server.socket)
    assert not server.socket.exists()
    assert not servers(server.socket)


def test_a_database_of_the_user_stays_closed_in_a_dry_run(made: Project) -> None:
    """The exception is for our own folder, not for every private socket."""
    with scratch.server(made.context) as server:
        link = server.socket.with_name(f"{server.socket.name}.link")
        link.symlink_to(server.socket)
        try:
            url = server.url().get_secret_value().replace(str(server.socket), str(link))
            with (
                guard.scope(guard.Mode.DRY_RUN),
                pytest.raises(Exception, match="read-only"),
                sql.connect(type(server.url())(url), read_only=False) as connection,
            ):
                connection.execute("create table a (b int)")
        finally:
            link.unlink()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_whoever_started_it(made: Project, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDER, str(made.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert servers(folder)
        os.kill(holder.pid, number)
    end = time.monotonic() + 30
    while servers(folder) or folder.exists():  # with it the plain dump of a proof
        assert time.monotonic() < end, f"{servers(folder)} {folder} are still there"
        time.sleep(0.05)


def test_an_error_inside_ends_it(made: Project) -> None:
    with pytest.raises(ZeroDivisionError), scratch.server(made.context) as server:
        raise ZeroDivisionError
    assert not server.socket.exists() and not servers(server.socket)


def test_no_server_is_new_enough(made: Project) -> None:
    with (
        pytest.raises(DependencyError, match="PostgreSQL 99 or newer is not on this machine"),
        scratch.server(made.context, major=99),
    ):
        pass


def test_a_server_that_does_not_start_says_why(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scratch._OPTIONS, "shared_buffers", "1000TB")
    context = replace(made.context, deadline=Deadline(5))
    with pytest.raises(StepFailed, match="does not start"), scratch.server(context):
        pass
