"""Verdicts on backups: each level passes on a good one, and every kind of damage turns it red."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.backup import archive, catalog, drill, engines, storage, verify
from ops.backup.manifest import LEVELS, Inventory, Level, Manifest, Table
from ops.hosts import pipes
from ops.kernel.errors import ConfigurationError
from ops.kernel.history import History
from tests.support.backups import Shop, shop
from tests.support.postgres import Postgres
from tests.support.proofs import FILL, configure, flip, prove, with_inventory

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


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def backup(filled: Shop, request: pytest.FixtureRequest) -> Iterator[Manifest]:
    configure(filled, encrypted=request.param)
    yield filled.take()
    configure(filled, encrypted=request.param)


@pytest.fixture
def plain(filled: Shop) -> Manifest:
    configure(filled, encrypted=False)
    return filled.take()


def test_good_backup_passes_every_level_and_its_manifest_says_so(
    filled: Shop, backup: Manifest
) -> None:
    for level in LEVELS:
        current = catalog.find(filled.context(), backup.id)
        proof = prove(filled, current, level)
        assert (proof.verdict, proof.reason, proof.level) == ("PASSED", "", level)
    proofs = catalog.find(filled.context(), backup.id).proofs
    assert [(each.level, each.verdict) for each in proofs] == [(each, "PASSED") for each in LEVELS]


def test_plain_dump_of_a_proof_is_private_and_gone_once_it_is_restored(
    filled: Shop, plain: Manifest
) -> None:
    context, restorer = filled.context(), engines.restorer("postgres")
    with restorer.scratch(context, plain) as place:
        assert place.scratch is not None
        dump = place.scratch / "dump"
        taker = restorer.restore(context, plain, place, full=False)
        with taker as sink:
            archive.copy(context, plain, storage.of(context), sink, None)
            assert (dump.stat().st_mode & 0o777, dump.stat().st_uid) == (0o600, os.geteuid())
        assert not dump.exists()
    assert not place.scratch.exists()


def test_verdict_is_in_the_history_of_health_checks(filled: Shop, plain: Manifest) -> None:
    noted: list[dict[str, Any]] = []

    class Noting(History):
        def __init__(self) -> None:
            """Need no state database."""

        def health(self, **values: Any) -> None:
            noted.append(values)

    context = dataclasses.replace(filled.context(), history=Noting())
    verify.prove(context, plain, "hash")
    filled.archive(plain).write_bytes(b"")
    verify.prove(context, plain, "hash")
    assert [each["result"] for each in noted] == ["healthy", "unhealthy"]
    assert "FAILED at level hash: the archive has 0 bytes" in noted[1]["detail"]
    assert noted[0]["target"] == str(filled.archive(plain))


def cut(left: float) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: min(int(len(content) * left), len(content) - 1)])

    return work


def append(path: Path) -> None:
    with path.open("ab") as opened:
        opened.write(b"\0")


HARM = {
    **{f"byte flipped at {share:.0%}": flip(share) for share in (0, 0.001, 0.3, 0.6, 0.99, 1)},
    **{f"cut to {left:.0%}": cut(left) for left in (0, 0.01, 0.5, 1)},
    "longer": append,
}


@pytest.mark.parametrize("level", ["hash", "decode"])
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_changed_archive_fails(
    filled: Shop, backup: Manifest, harm: Callable[[Path], None], level: Level
) -> None:
    harm(filled.archive(backup))
    proof = prove(filled, backup, level)
    assert proof.verdict == "FAILED"
    assert "the manifest says" in proof.reason or "that of the manifest" in proof.reason


@pytest.mark.parametrize("harm", ["byte flipped at 60%", "cut to 50%"])
def test_changed_archive_fails_while_it_is_restored(
    filled: Shop, backup: Manifest, harm: str
) -> None:
    HARM[harm](filled.archive(backup))
    proof = prove(filled, backup, "data")
    assert proof.verdict == "FAILED"
    assert "the manifest says" in proof.reason or "that of the manifest" in proof.reason


def test_missing_archive_fails(filled: Shop, plain: Manifest) -> None:
    filled.archive(plain).unlink()
    proof = prove(filled, plain)
    assert (proof.verdict, plain.archive in proof.reason) == ("FAILED", True)
    with pytest.raises(ConfigurationError, match=r"has no backup.*its archive is gone"):
        drill.plan(filled.context(), plain.id, "data")


def edited(text: str, plain: Manifest, what: str) -> str:
    """Return the text of a manifest with one change, which it must take."""
    changes = {
        "rows": ('"rows": 3000', '"rows": 2999'),
        "sha256": (plain.sha256, hashlib.sha256().hexdigest()),
        "tool": ("pg_dump ", "pg_dump 9"),
        "checksum": ('"checksum": "', '"checksum": "0'),
        "cut": (text[len(text) // 2 :], ""),
        "empty": (text, ""),
    }
    old, new = changes[what]
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("what", ["rows", "sha256", "tool", "checksum", "cut", "empty"])
def test_edited_manifest_is_refused(filled: Shop, plain: Manifest, what: str) -> None:
    path = filled.files / plain.file
    path.write_text(edited(path.read_text(), plain, what))
    with pytest.raises(ConfigurationError, match=r"manifest|edited"):
        drill.plan(filled.context(), plain.id, "data")
    path.unlink()
    with pytest.raises(ConfigurationError, match="has no backup"):
        drill.plan(filled.context(), plain.id, "data")


def fewer(inventory: Inventory) -> dict[str, Any]:
    return {"tables": inventory.tables[1:]}


def more(inventory: Inventory) -> dict[str, Any]:
    return {"tables": (*inventory.tables, Table("public", "zeta", 0))}


def other_rows(inventory: Inventory) -> dict[str, Any]:
    first, *rest = inventory.tables
    return {"tables": (dataclasses.replace(first, rows=first.rows + 1), *rest)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (fewer, "table public.customers is not in the manifest"),
        (more, "table public.zeta is missing"),
        (other_rows, "public.customers has 50 rows, the manifest says 51"),
        (lambda _: {"large_objects": 2}, "1 large objects, the manifest says 2"),
    ],
)
def test_data_that_are_not_those_of_the_manifest_fail(
    filled: Shop, plain: Manifest, change: Callable[[Inventory], dict[str, Any]], reason: str
) -> None:
    proof = prove(filled, with_inventory(plain, **change(plain.inventory)))
    assert (proof.verdict, proof.reason) == ("FAILED", reason)


def replaced(made: Shop, manifest: Manifest, *options: str) -> Manifest:
    """Put another dump in the place of an archive, with a manifest that fits its bytes."""
    context = made.context()
    program = str(made.server.programs / "pg_dump")
    argv = [program, "-Fc", "-Z0", *options, made.url]
    store = storage.of(context)
    with store.writer(manifest.archive) as sink, pipes.reading(context, argv) as output:
        written = archive.write(context, output, sink, manifest.recipients)
    return dataclasses.replace(manifest, **dataclasses.asdict(written))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--schema-only"], "public.customers has 0 rows, the manifest says 50"),
        (["--exclude-table=customers"], "table public.customers is missing"),
        (["--exclude-table-data=orders"], "public.orders has 0 rows, the manifest says 3,000"),
        (["--no-blobs"], "0 large objects, the manifest says 1"),
        (["--table=orders"], "table public.customers is missing"),
    ],
)
def test_other_dump_with_a_fitting_manifest_fails(
    filled: Shop, backup: Manifest, options: list[str], reason: str
) -> None:
    proof = prove(filled, replaced(filled, backup, *options))
    assert (proof.verdict, reason in proof.reason) == ("FAILED", True), proof.reason


def test_dump_that_violates_its_constraints_fails_with_them_only(filled: Shop) -> None:
    configure(filled, encrypted=False)
    filled.ask("ALTER TABLE customers DISABLE TRIGGER ALL; INSERT INTO customers VALUES (0, -1)")
    try:
        broken = filled.take()
    finally:
        filled.ask("DELETE FROM customers WHERE id = 0; ALTER TABLE customers ENABLE TRIGGER ALL")
    assert prove(filled, broken, "data").verdict == "PASSED"
    proof = prove(filled, broken, "full")
    assert proof.verdict == "FAILED" and "violates foreign key" in proof.reason
