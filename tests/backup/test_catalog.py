"""The catalogue: what counts as a backup, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ops.backup import catalog, listing, storage
from ops.backup.manifest import write
from ops.kernel.errors import ConfigurationError
from tests.support.vault import Vault, manifest, proof


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path, "postgresql://nobody@/nothing")


def test_backups_are_complete_and_newest_first(vault: Vault) -> None:
    old, new = vault.keep(manifest(1, days=3)), vault.keep(manifest(2))
    (vault.own / manifest(3).archive).write_bytes(b"no manifest")
    (vault.own / manifest(4).file).write_bytes(write(manifest(4)))
    (vault.own / "20261121T120000Z-abcdef.dump").write_bytes(b"of somebody else")
    (vault.own / f"{manifest(5).archive}.partial").write_bytes(b"half")
    assert catalog.backups(vault.context()) == [new, old]
    found = catalog.look(storage.of(vault.context()))
    assert [each.name for each in found.without_manifest] == [manifest(3).archive]
    assert list(found.without_archive) == [manifest(4).id]


def test_the_empty_id_is_the_newest(vault: Vault) -> None:
    vault.keep(manifest(1, days=3))
    new = vault.keep(manifest(2))
    assert catalog.find(vault.context(), "") == new
    assert catalog.find(vault.context(), new.id) == new


@pytest.mark.parametrize(
    ("id", "said"),
    [
        (
            "20261118T12",
            "prod has no backup '20261118T12', did you mean '20261118T120000Z-000001'?",
        ),
        ("nonsense", "prod has no backup 'nonsense'"),
        ("x" * 200, f"prod has no backup '{'x' * 60}'"),
    ],
)
def test_an_unknown_id_is_one_line(vault: Vault, id: str, said: str) -> None:
    vault.keep(manifest(1, days=3))
    with pytest.raises(ConfigurationError) as caught:
        catalog.find(vault.context(), id)
    assert (str(caught.value), caught.value.hint) == (said, "inv backup.list --env prod")


def test_without_backups_it_says_how_to_take_one(vault: Vault) -> None:
    with pytest.raises(ConfigurationError, match="prod has no backup in") as caught:
        catalog.find(vault.context(), "")
    assert caught.value.hint == "take one: inv backup --env prod"


def test_a_backup_whose_archive_is_gone_says_so(vault: Vault) -> None:
    gone = vault.keep(manifest(1))
    (vault.own / gone.archive).unlink()
    with pytest.raises(ConfigurationError, match="its archive is gone"):
        catalog.find(vault.context(), gone.id)


def test_a_damaged_newest_is_not_replaced_by_an_older_one(vault: Vault) -> None:
    old, new = vault.keep(manifest(1, days=3)), vault.keep(manifest(2))
    path = vault.own / new.file
    path.write_text(path.read_text().replace('"rows": 100', '"rows": 1'))
    assert catalog.backups(vault.context()) == [old]
    for id in ("", new.id):
        with pytest.raises(ConfigurationError, match="was edited"):
            catalog.find(vault.context(), id)
    assert catalog.find(vault.context(), old.id) == old


def test_a_new_proof_is_saved(vault: Vault) -> None:
    made = vault.keep(manifest(1))
    catalog.save(vault.context(), made.with_proof(proof()))
    assert catalog.find(vault.context(), "").proved


def test_the_list_shows_every_backup_and_names_what_is_wrong(vault: Vault) -> None:
    good = vault.keep(manifest(1, days=2, proofs=(proof(),), recipients=("age1abc",)))
    bare = vault.keep(replace(manifest(2), size=999))
    broken = vault.keep(manifest(3, days=1))
    (vault.own / broken.file).write_text("{")
    (vault.own / manifest(4).archive).write_bytes(b"no manifest")
    (vault.own / manifest(5).file).write_bytes(write(manifest(5)))
    report = listing.backups(vault.context())
    rows = [tuple(row) for row in report.tables[0].rows]
    assert [(row[0], row[2], row[3], row[4], row[5]) for row in rows] == [
        (bare.id, "999 B", "no", "1", "100"),
        (good.id, "3 B", "yes", "1", "100"),
    ]
    assert rows[0][-1] == "none" and rows[1][-1].startswith("PASSED data, ")
    facts = dict(report.facts)
    assert facts["where"] == str(vault.own)
    assert facts["damaged manifest"].startswith(f"{broken.file} is not a manifest: ")
    assert facts["incomplete, no manifest"] == manifest(4).archive
    assert facts["incomplete, no archive"] == manifest(5).id
    assert facts["size differs from manifest"] == bare.id
    assert [each["id"] for each in report.data["backups"]] == [bare.id, good.id]
    assert report.data["backups"][1]["proofs"][0]["verdict"] == "PASSED"
    assert report.summary == "2 backups, 1.0 kB"


def test_an_empty_list_says_how_to_begin(vault: Vault) -> None:
    report = listing.backups(vault.context())
    assert (report.summary, report.hints) == ("prod has no backup", ("inv backup --env prod",))


@pytest.mark.parametrize(
    ("extra", "environment", "where"),
    [
        ('destination = "backups"', "", "{folder}/backups/shop/prod"),
        ('destination = "{folder}/other"', "", "{folder}/other/shop/prod"),
        ('destination = "~/copies"', "", "{home}/copies/shop/prod"),
        ('destination = ""', "", "{folder}/home/environments/prod/backups"),
        ("", 'backup_destination = "mine"', "{folder}/mine/shop/prod"),
    ],
)
def test_where_archives_go(tmp_path: Path, extra: str, environment: str, where: str) -> None:
    names = {"folder": str(tmp_path), "home": str(Path.home())}
    vault = Vault(tmp_path, "postgresql://nobody@/nothing")
    vault.configure(extra.format(**names), environment)
    assert storage.of(vault.context()).where == where.format(**names)
