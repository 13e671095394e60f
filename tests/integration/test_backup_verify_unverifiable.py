"""What this machine cannot try is UNVERIFIABLE, with the reason; it is never taken for a verdict on the backup."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ops.backup import engines, keys, verify
from ops.backup.manifest import Level, Manifest
from ops.kernel.errors import StepFailed
from tests.support.backups import Shop, shop
from tests.support.postgres import Postgres
from tests.support.proofs import FILL, OTHER, configure, flip, prove, with_inventory

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture(scope="module")
def filled(server: Postgres) -> Iterator[Shop]:
    with shop(server) as made:
        made.ask(FILL)
        yield made


@pytest.fixture
def plain(filled: Shop) -> Manifest:
    configure(filled, encrypted=False)
    return filled.take()


@pytest.mark.parametrize("level", ["decode", "data"])
def test_wrong_key_fails_and_no_key_is_unverifiable(filled: Shop, level: Level) -> None:
    configure(filled, encrypted=True)
    manifest = filled.take()
    configure(filled, encrypted=True, identity=str(OTHER))
    proof = prove(filled, manifest, level)
    assert proof.verdict == "FAILED" and "does not open" in proof.reason
    for identity in ("", "no key at all"):
        configure(filled, encrypted=True, identity=identity)
        proof = prove(filled, manifest, level)
        assert proof.verdict == "UNVERIFIABLE" and "backup.identity" in proof.reason
    assert prove(filled, manifest, "hash").verdict == "PASSED"
    flip(0.5)(filled.archive(manifest))
    assert prove(filled, manifest, level).verdict == "FAILED"


@pytest.mark.parametrize(
    ("change", "level", "reason"),
    [
        ({"extensions": {"postgis": "3", "hstore": "1"}}, "data", "extension postgis is not"),
        ({"server_version": "99.1"}, "data", "PostgreSQL 99 or newer is not on this machine"),
        ({"server_version": "99.1"}, "full", "PostgreSQL 99 or newer is not on this machine"),
    ],
)
def test_what_this_machine_cannot_try_is_unverifiable(
    filled: Shop, plain: Manifest, change: dict[str, Any], level: Level, reason: str
) -> None:
    proof = prove(filled, with_inventory(plain, **change), level)
    assert (proof.verdict, reason in proof.reason) == ("UNVERIFIABLE", True), proof.reason
    flip(0.5)(filled.archive(plain))
    assert prove(filled, with_inventory(plain, **change), level).verdict == "FAILED"


def test_dump_of_a_newer_tool_is_unverifiable(filled: Shop, plain: Manifest) -> None:
    newer = dataclasses.replace(plain, tool="pg_dump 99.0")
    for level in ("decode", "data"):
        proof = prove(filled, newer, level)
        assert (proof.verdict, "99 or newer" in proof.reason) == ("UNVERIFIABLE", True)


def test_killed_pg_restore_says_nothing_against_the_backup(
    filled: Shop, plain: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_restore"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr("ops.backup.engines.libpq.program", lambda *_: program)
    proof = prove(filled, plain, "decode")
    assert (proof.verdict, "SIGKILL" in proof.reason) == ("UNVERIFIABLE", True), proof.reason


def test_restore_that_would_hit_the_source_is_refused(filled: Shop, plain: Manifest) -> None:
    with pytest.raises(StepFailed, match="refused to restore"):
        verify.refuse_source("7/5", "7/5")
    with pytest.raises(StepFailed, match="refused to restore"):
        verify.refuse_source("", "7/5")
    # The same database by another URL.
    restorer = engines.restorer("postgres")
    other = SecretStr(f"host={filled.server.folder} dbname={filled.database} user=owner")
    assert (
        restorer.inventory(filled.context(), other).system == plain.inventory.system
    ), "the identity of a database does not depend on its URL"


def test_owners_policies_and_roles_come_back_on_the_scratch_server(filled: Shop) -> None:
    configure(filled, encrypted=False)
    filled.ask(
        'DROP ROLE IF EXISTS "Mr. Verify"; CREATE ROLE "Mr. Verify"; CREATE TABLE mine (id integer);'
        'ALTER TABLE mine OWNER TO "Mr. Verify"; ALTER TABLE mine ENABLE ROW LEVEL SECURITY;'
        'CREATE POLICY p ON mine TO "Mr. Verify" USING (true); GRANT ALL ON orders TO "Mr. Verify"'
    )
    try:
        manifest = filled.take()
        assert "Mr. Verify" in manifest.inventory.roles
        proof = prove(filled, manifest, "full")
        assert (proof.verdict, proof.reason) == ("PASSED", "")
    finally:
        filled.ask('DROP TABLE mine; DROP OWNED BY "Mr. Verify"; DROP ROLE "Mr. Verify"')


def test_keys_are_asked_once_they_are_needed(filled: Shop, plain: Manifest) -> None:
    configure(filled, encrypted=False, identity="")
    assert keys.identity(filled.context()) is None
    assert prove(filled, plain, "decode").verdict == "PASSED"
