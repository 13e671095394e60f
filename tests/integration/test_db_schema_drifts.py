"""Each drift is found, by its object, and nothing else is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.database.schema import Key, differences, dump, objects
from ops.database.schema.look import look
from tests.support import runs
from tests.support.drifts import DRIFTS, ROLES, SCHEMA, SCHEMAS
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

ROUNDS = 8
"""Drifts of one round are made together in one copy; none is about an object of another."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        with made.connect("postgres") as connection:
            connection.execute(ROLES)
        yield made


@pytest.fixture(scope="module")
def original(server: Postgres) -> str:
    name = server.create()
    with server.connect(name) as connection:
        connection.execute(SCHEMA.encode())
    return name


def read(server: Postgres, folder: Path, name: str) -> dict[Key, str]:
    url = SecretStr(server.url(name))
    program = server.programs / "pg_dump"
    return dump.read(runs.context(runs.project(folder)), program, url, look(url), SCHEMAS)


@pytest.fixture(scope="module")
def known(
    server: Postgres, original: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[Key, str]:
    return read(server, tmp_path_factory.mktemp("original"), original)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_drift_is_found_by_its_object_and_nothing_else_is(
    server: Postgres, original: str, known: dict[Key, str], tmp_path: Path, number: int
) -> None:
    drifts = DRIFTS[number::ROUNDS]
    name = server.create(original)
    with server.connect(name) as connection:
        for _, change in drifts:
            connection.execute(change.encode())
    drifted = read(server, tmp_path, name)
    expected = sorted(found for found, _ in drifts)
    assert sorted(str(each.key) for each in differences(known, drifted)) == expected
    assert sorted(str(each.key) for each in differences(drifted, known)) == expected


def test_password_of_a_user_mapping_is_never_shown(
    server: Postgres, original: str, known: dict[Key, str], tmp_path: Path
) -> None:
    name = server.create(original)
    with server.connect(name) as connection:
        connection.execute(
            "ALTER USER MAPPING FOR app_reader SERVER elsewhere OPTIONS (SET password 'another-password')"
        )
    (found,) = differences(known, read(server, tmp_path, name))
    shown = [found.what("migrations", "live"), found.excerpt("migrations", "live")]
    shown += [found.shown(found.left) or "", found.shown(found.right) or ""]
    assert "password" not in " ".join(shown).replace("password '***'", "").replace(
        "that may be secret", ""
    )
    assert shown[0] == "differs in options that may be secret"


def test_restored_schema_does_not_differ(
    server: Postgres, original: str, known: dict[Key, str], tmp_path: Path
) -> None:
    # A dump does not hold versions of extensions: a restore takes the newest.
    newest = server.create(original)
    with server.connect(newest) as connection:
        connection.execute("ALTER EXTENSION pg_trgm UPDATE")
    archive = tmp_path / "archive"
    run(server, "pg_dump", "--format=custom", f"--file={archive}", f"--dbname={server.url(newest)}")
    name = server.create("template0")
    run(server, "pg_restore", "--exit-on-error", f"--dbname={server.url(name)}", str(archive))
    assert differences(read(server, tmp_path, newest), read(server, tmp_path, name)) == []

    said = run(server, "pg_restore", "--schema-only", "--file=-", str(archive))
    dumped = run(server, "pg_dump", "--schema-only", f"--dbname={server.url(name)}")
    assert differences(objects(said), objects(dumped)) == []


def test_order_in_which_objects_were_made_does_not_count(server: Postgres, tmp_path: Path) -> None:
    one, other = server.create(), server.create()
    statements = [
        "CREATE TABLE a (id int PRIMARY KEY, b int, CHECK (b > 0), CONSTRAINT z CHECK (id > 1))",
        "CREATE TABLE c (id int)",
        "CREATE VIEW v WITH (security_barrier, check_option = local) AS SELECT id FROM a",
        "GRANT SELECT ON a TO app_reader",
        "GRANT SELECT ON a TO app_writer",
        "CREATE INDEX i ON a (b) WITH (fillfactor = 70, deduplicate_items = off)",
        "CREATE INDEX j ON c (id)",
        "CREATE POLICY p ON c TO app_reader, app_writer USING (true)",
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE a SET (fillfactor = 70, autovacuum_enabled = off)",
    ]
    swapped = [
        statements[1],
        "CREATE TABLE a (id int NOT NULL, b int, CONSTRAINT z CHECK (id > 1))",
        "ALTER TABLE a ADD PRIMARY KEY (id), ADD CHECK (b > 0)",
        "CREATE VIEW v WITH (check_option = local, security_barrier) AS SELECT id FROM a",
        statements[4],
        statements[3],
        statements[6],
        "CREATE INDEX i ON a (b) WITH (deduplicate_items = off, fillfactor = 70)",
        "CREATE POLICY p ON c TO app_writer, app_reader USING (true)",
        statements[9],
        statements[8],
        "ALTER TABLE a SET (autovacuum_enabled = off, fillfactor = 70)",
    ]
    for name, texts in ((one, statements), (other, swapped)):
        with server.connect(name) as connection:
            for each in texts:
                connection.execute(each.encode())
    assert differences(read(server, tmp_path, one), read(server, tmp_path, other)) == []


def run(server: Postgres, program: str, *words: str) -> str:
    ran = subprocess.run(
        [str(server.programs / program), *words], check=True, capture_output=True, text=True
    )
    return ran.stdout
