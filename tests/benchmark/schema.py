"""Drifts of many kinds, each injected alone into a copy of an awkward schema: how many are found, and how fast."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydantic import SecretStr

from ops.database.schema import Key, differences, dump
from ops.database.schema.look import look
from ops.kernel.context import Context
from tests.support import runs
from tests.support.drifts import DRIFTS, ROLES, SCHEMA, SCHEMAS
from tests.support.postgres import Postgres


@dataclass(frozen=True)
class Drifts:
    """What came of it.

    Args:
        injected: How many drifts.
        missed: How many were not found by their object.
        false: How many findings were about another object.
        seconds: Median of a comparison: both sides asked and dumped by `pg_dump -s`, brought into normal form and
            compared; without the replay of migrations.
    """

    injected: int
    missed: int
    false: int
    seconds: float


def measure() -> Drifts:
    """Compare the schema with itself, drifted."""
    missed, false, times = 0, 0, []
    with Postgres.begin() as server, tempfile.TemporaryDirectory() as folder:
        context = runs.context(runs.project(Path(folder)), seconds=600)
        original = server.create()
        for name, text in (("postgres", ROLES), (original, SCHEMA)):
            with server.connect(name) as connection:
                connection.execute(text.encode())
        for expected, change in DRIFTS:
            drifted = server.create(original)
            with server.connect(drifted) as connection:
                connection.execute(change.encode())
            begin = time.perf_counter()
            sides = [_read(context, server, name) for name in (original, drifted)]
            found = [str(each.key) for each in differences(*sides)]
            times.append(time.perf_counter() - begin)
            missed += expected not in found
            false += len([each for each in found if each != expected])
            with server.connect("postgres") as connection:
                connection.execute(f'DROP DATABASE "{drifted}"'.encode())
    return Drifts(len(DRIFTS), missed, false, median(times))


def _read(context: Context, server: Postgres, name: str) -> dict[Key, str]:
    url = SecretStr(server.url(name))
    return dump.read(context, server.programs / "pg_dump", url, look(url), SCHEMAS)
