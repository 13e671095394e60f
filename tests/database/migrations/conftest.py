from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.database.migrations import Source
from ops.kernel.context import Context
from tests.support import migrations, runs
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> SecretStr:
    return SecretStr(server.url(server.create()))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return runs.context(runs.project(tmp_path))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return migrations.sql_folder(tmp_path / "db")
