"""Dumps of a real PostgreSQL: readable by the vendor's tool, and nothing half-written stays."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.backup import dump
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.errors import EffectRefused, OpsError, StepFailed
from tests.conftest import lacking
from tests.support import runs
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def name(server: Postgres) -> str:
    made = server.create()
    with server.connect(made) as connection:
        connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id")
    return made


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return runs.context(runs.project(tmp_path))


def secret(server: Postgres, name: str) -> SecretStr:
    return SecretStr(server.url(name).replace("owner@", "owner:s3cret-sentinel@"))


def test_dump_can_be_restored_by_the_command_it_names(
    context: Context, server: Postgres, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    tool = server.programs / "pg_dump"
    made = dump.dump(context, tool, secret(server, name), folder, "0123456789ab")
    path = Path(made.path)
    assert path.name.endswith("-0123456789ab.dump")
    assert path.read_bytes().startswith(b"PGDMP")
    assert made.size == path.stat().st_size
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "s3cret-sentinel" not in made.restore
    with server.connect(name) as connection:
        connection.execute("DROP TABLE orders")
    subprocess.run(shlex.split(made.restore), check=True)
    with server.connect(name) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1000,)


def test_failed_dump_leaves_no_file(context: Context, server: Postgres, tmp_path: Path) -> None:
    tool = server.programs / "pg_dump"
    with pytest.raises(StepFailed, match="does not exist") as failure:
        dump.dump(context, tool, secret(server, "missing"), tmp_path / "backups", "x")
    assert "s3cret-sentinel" not in str(failure.value)
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("command", ["echo nonsense", '"$0-real" "$@" | head -c 1000', ":"])
def test_tool_that_writes_no_archive_or_half_of_one_is_found_out(
    context: Context, server: Postgres, name: str, tmp_path: Path, command: str
) -> None:
    tool = tmp_path / "pg_dump"
    tool.write_text(f"#!/bin/sh\n{command}\n")
    tool.chmod(0o755)
    (tmp_path / "pg_dump-real").symlink_to(server.programs / "pg_dump")
    (tmp_path / "pg_restore").symlink_to(server.programs / "pg_restore")
    with pytest.raises(StepFailed, match="wrote no archive"):
        dump.dump(context, tool, secret(server, name), tmp_path / "backups", "x")
    assert list((tmp_path / "backups").iterdir()) == []


def test_dry_run_dumps_nothing(
    context: Context, server: Postgres, name: str, tmp_path: Path
) -> None:
    tool = server.programs / "pg_dump"
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused):
        dump.dump(context, tool, secret(server, name), tmp_path / "backups", "x")
    assert not (tmp_path / "backups").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_full_disk_leaves_no_file_and_is_told(
    context: Context, server: Postgres, name: str, tmp_path: Path
) -> None:
    with server.connect(name) as connection:
        connection.execute(
            "INSERT INTO orders SELECT (random() * 1e9)::int FROM generate_series(1, 90000)"
        )
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=False
    )
    if mounted.returncode:
        lacking("this machine does not allow to mount a file system")
    try:
        with pytest.raises(OpsError, match="No space left on device"):
            dump.dump(context, server.programs / "pg_dump", secret(server, name), small / "b", "x")
        assert list((small / "b").iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
