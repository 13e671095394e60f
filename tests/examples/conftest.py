"""A PostgreSQL server, the sample's own virtual environment, and databases for each test."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.shop import BACKEND, Shop
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A running server."""
    with Postgres.begin() as server:
        yield server


@pytest.fixture(scope="session")
def programs() -> Path:
    """The `bin` folder of the sample's environment, made once for each lock file and Python."""
    lock = BACKEND / "requirements.txt"
    seed = lock.read_bytes() + sys.version.encode() + sys.prefix.encode()
    name = f"shop-tests-{os.geteuid()}-{hashlib.sha256(seed).hexdigest()[:12]}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.geteuid(), f"{folder} belongs to another user"
    with open(folder / "lock", "wb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            python = folder / "venv/bin/python"
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True)
            pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
            subprocess.run([*pip, "-r", lock], check=True)
            (folder / "complete").touch()
    return folder / "venv/bin"


@pytest.fixture
def shop(programs: Path) -> Iterator[Shop]:
    """The installed sample."""
    # Not tmp_path: the path of a socket may have about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="shop-"))
    yield Shop(programs, folder)
    shutil.rmtree(folder)


@pytest.fixture
def empty(server: Postgres) -> str:
    """Name of a database without tables."""
    return server.create()


@pytest.fixture(scope="session")
def template(server: Postgres, programs: Path) -> str:
    """Name of a database with all migrations."""
    name = server.create()
    result = Shop(programs, Path()).alembic(server.url(name), "upgrade", "head")
    assert result.returncode == 0, result.stderr
    return name


@pytest.fixture
def migrated(server: Postgres, template: str) -> str:
    """Name of a database with all migrations and nothing else."""
    return server.create(template)
