"""What `inv backup.restore` and `inv backup.verify` refuse: one line, the right code, nothing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyrage
import pytest
from pydantic import SecretStr

from ops.backup import manifest as manifests
from ops.backup.engines.postgres_server import PostgresServer
from ops.backup.manifest import Manifest
from tests.support import restores
from tests.support.postgres import Postgres
from tests.support.restores import Site, assert_nothing_changed, assert_one_line

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def site(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    with restores.site(server, monkeypatch, capsys) as made:
        yield made


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--into", "{own}"], 3, "that is the database of the environment"),
        (["--into", "postgres"], 3, "a database of that name exists"),
        (["--into", "template0"], 3, "a database of that name exists"),
        (["--into", "x" * 64], 3, "cannot be the name of a database"),
        (["--into", "a\nb"], 3, "cannot be the name of a database"),
        (["--into", "x_restoring_123abc"], 3, "cannot be the name of a database"),
        (["--into", "other", "--replace"], 3, "exclude each other"),
    ],
)
def test_bad_name_is_one_line(site: Site, words: list[str], code: int, said: str) -> None:
    answer = site.restore(*(each.format(own=site.shop.database) for each in words))
    assert_one_line(answer, code, said)
    assert_nothing_changed(site)


@pytest.mark.parametrize(
    ("id", "said"), [("", "--id is missing"), ("nope", "has no backup 'nope'")]
)
def test_unknown_backup_is_one_line(site: Site, id: str, said: str) -> None:
    assert_one_line(site("backup.restore", *(["--id", id] if id else [])), 3, said)
    assert_nothing_changed(site)


def damage(site: Site) -> str:
    path = site.shop.archive(site.backup)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    return "backup"


def lose(site: Site) -> str:
    site.shop.archive(site.backup).unlink()
    return "its archive is gone"


def lose_role(site: Site) -> str:
    manifest = json.loads((site.shop.files / site.backup.file).read_text())
    manifest["inventory"]["roles"] = ["nobody here"]
    return rewritten(site, manifest, "lacks roles")


def lose_extension(site: Site) -> str:
    manifest = json.loads((site.shop.files / site.backup.file).read_text())
    manifest["inventory"]["extensions"] = {"postgis": "3"}
    return rewritten(site, manifest, "lacks extensions")


def newer(site: Site) -> str:
    manifest = json.loads((site.shop.files / site.backup.file).read_text())
    manifest["inventory"]["server_version"] = "99.1"
    return rewritten(site, manifest, "99.1")


def other_rows(site: Site) -> str:
    manifest = json.loads((site.shop.files / site.backup.file).read_text())
    manifest["inventory"]["tables"][0]["rows"] = 99
    return rewritten(site, manifest, "has 100 rows, the manifest says 99")


def rewritten(site: Site, document: dict[str, Any], said: str) -> str:
    """Write a changed manifest with a checksum that fits."""
    body = {key: value for key, value in document.items() if key not in ("format", "checksum")}
    document["checksum"] = manifests._checksum(body)
    (site.shop.files / site.backup.file).write_text(json.dumps(document))
    return said


@pytest.mark.parametrize(
    ("harm", "code"),
    [(damage, 1), (lose, 3), (lose_role, 3), (lose_extension, 3), (newer, 3), (other_rows, 1)],
)
def test_what_cannot_be_restored_changes_nothing(
    site: Site, harm: Callable[[Site], str], code: int
) -> None:
    said = harm(site)
    assert_one_line(site.restore("--replace", "--yes"), code, said)
    assert_nothing_changed(site)


def test_wrong_key_no_key_and_closed_folder_change_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    site.shop.configure(backup=f'recipients = ["{mine.to_public()}"]')
    site.backup = site.shop.take()
    assert_one_line(site.restore("--replace", "--yes"), 3, "backup.identity is not set")
    site.shop.configure(backup=f'recipients = ["{mine.to_public()}"]\nidentity = "env:SECRET_KEY"')
    monkeypatch.setenv("SECRET_KEY", str(other))
    assert_one_line(site.restore("--replace", "--yes"), 3, "does not open")
    monkeypatch.setenv("SECRET_KEY", str(mine))
    shutil.move(site.shop.files, site.shop.folder / "elsewhere")
    assert_one_line(site.restore("--replace", "--yes"), 3, "has no backup")
    shutil.move(site.shop.folder / "elsewhere", site.shop.files)
    assert_nothing_changed(site)
    assert site.restore("--replace", "--yes").code == 0


def test_server_that_does_not_answer_and_wrong_user_are_one_line(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB", f"postgresql://owner@/{site.shop.database}?host=/nowhere")
    assert_one_line(site.restore(), 4, "cannot connect")
    monkeypatch.setenv("DB", site.shop.server.url(site.shop.database, "nobody_known"))
    assert_one_line(site.restore(), 4, "cannot connect")
    assert_nothing_changed(site)


def test_role_that_may_not_create_databases_is_refused_and_admin_url_helps(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.shop.ask("DROP ROLE IF EXISTS plain", "postgres")
    site.shop.ask("CREATE ROLE plain LOGIN", "postgres")
    monkeypatch.setenv("DB", site.shop.server.url(site.shop.database, "plain"))
    assert_one_line(site.restore(), 5, "may not create databases")
    site.shop.ask("ALTER ROLE plain CREATEDB", "postgres")
    assert_one_line(site.restore(), 5, "may not give a database to owner")
    assert_nothing_changed(site)
    monkeypatch.setenv("ADMIN", site.shop.server.url("postgres"))
    site.shop.configure(environment='admin_url = "env:ADMIN"')
    assert site.restore().code == 0
    assert site.orders(site.name("restored")) == 100


def test_source_of_the_backup_is_never_filled(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the server gave the source itself for the new database, by whatever URL."""
    place = PostgresServer.make

    def wrong(self: PostgresServer, manifest: Manifest, name: str, mark: str) -> Any:
        made = place(self, manifest, name, mark)
        return replace(made, url=SecretStr(site.shop.url))

    monkeypatch.setattr(PostgresServer, "make", wrong)
    assert_one_line(site.restore(), 1, "refused to restore into the database that the backup is of")
    assert_nothing_changed(site)


def test_answer_of_a_verification_tells_the_verdict(site: Site) -> None:
    answer = site("backup.verify", "--format", "json")
    assert (answer.code, answer.json["verdict"], answer.json["level"]) == (0, "PASSED", "data")
    assert site("backup.verify", "--level", "nonsense").code == 3
    newer(site)
    grey = site("backup.verify", "--id", site.backup.id, "--full", "--format", "json")
    assert (grey.code, grey.json["status"]) == (1, "difference")
    assert (grey.json["verdict"], grey.json["level"]) == ("UNVERIFIABLE", "full")
    damage(site)
    red = site("backup.verify", "--id", site.backup.id, "--format", "json")
    assert (red.code, red.json["status"], red.json["verdict"]) == (1, "error", "FAILED")
    assert "the manifest" in red.json["reason"]
    assert_one_line(site("backup.verify", "--id", site.backup.id), 1, "is FAILED at level data")
