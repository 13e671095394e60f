"""What goes through dump, archive and restore comes back as it was: row by row and schema by schema."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from ops.backup import beside, verify
from ops.database.schema import definitions
from tests.support import awkward
from tests.support.backups import Shop, shop
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def made(server: Postgres) -> Iterator[Shop]:
    with shop(server) as each:
        yield each


def schema(made: Shop, database: str) -> dict[definitions.Key, str]:
    program = made.server.programs / "pg_dump"
    argv = [str(program), "--schema-only", f"--dbname={made.server.url(database)}"]
    ran = subprocess.run(argv, check=True, capture_output=True, text=True)
    return definitions.objects(ran.stdout)


def rows(made: Shop, database: str) -> dict[str, list[str]]:
    """Return every row of every table as text, sorted, large objects and sequences as well."""
    found = {}
    for (name,) in made.ask(awkward.RELATIONS, database):
        found[name] = sorted(
            each for (each,) in made.ask(f"SELECT t::text FROM {name} t", database)
        )
    found["large objects"] = [str(each) for each in made.ask(awkward.OBJECTS, database)]
    found["sequences"] = [str(each) for each in made.ask(awkward.SEQUENCES, database)]
    return found


def restored(made: Shop, *, name: str = "new") -> str:
    """Take a backup, restore it as the task does, and return the name of the new database."""
    manifest, context = made.take(), made.context()
    target = f"{made.database}_{name}"
    work = beside.name(made.database, "restoring", manifest.id)
    beside.bring(context, backup=manifest.id, work=work)
    beside.settle(context, backup=manifest.id, work=work, name=target)
    return target


def test_awkward_data_come_back_row_by_row_and_schema_by_schema(made: Shop) -> None:
    awkward.fill(made.url)
    other = restored(made)
    before, after = rows(made, made.database), rows(made, other)
    assert after.keys() == before.keys()
    for name, content in before.items():
        assert after[name] == content, name
    assert sum(map(len, before.values())) > 60
    assert schema(made, other) == schema(made, made.database)


def test_awkward_data_are_proved_to_every_level(made: Shop) -> None:
    awkward.fill(made.url)
    manifest = made.take()
    for level in ("data", "full"):
        proof = verify.prove(made.context(), manifest, level)
        assert (proof.verdict, proof.reason) == ("PASSED", "")


def test_seven_thousand_tables(made: Shop) -> None:
    """The lock table of a server with default settings has 6,400 places."""
    count = 7_000
    for first in range(0, count, 1_000):  # all at once do not fit either
        loop = f"FOR n IN {first}..{first + 999} LOOP"
        work = "EXECUTE format('CREATE TABLE t%s AS SELECT %s AS id', n, n)"
        made.ask(f"DO $$ BEGIN {loop} {work}; END LOOP; END $$")
    manifest = made.take()
    assert len(manifest.inventory.tables) == count
    proof = verify.prove(made.context(300), manifest, "data")
    assert (proof.verdict, proof.reason) == ("PASSED", "")
