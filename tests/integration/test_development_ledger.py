"""A repository built differently in development: src layout, SQL files, its own name of the database's variable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops.setup import dotenv
from tests.support.development import ROOT, Sample, sample
from tests.support.local import eventually

APPS = ROOT / "tests" / "integration" / "apps"


@pytest.fixture(scope="module")
def ledger() -> Iterator[Sample]:
    with sample() as made:
        shutil.copytree(APPS / "ledger", made.folder, dirs_exist_ok=True)
        text = (made.folder / "ops.toml").read_text().replace("port = 8200", f"port = {made.port}")
        made.write("ops.toml", f'{text}\n[environments.development]\ntarget = "local"\n')
        made.done("setup", "--env", "development")
        yield made


def url(ledger: Sample) -> str:
    return dotenv.parse((ledger.folder / ".env.local").read_bytes(), "")["LEDGER_DSN"]


def test_it_serves_from_its_sources(ledger: Sample) -> None:
    ledger.done("start")
    assert json.loads(ledger.get("ops/healthz")) == {"build": "development", "ok": True}
    source = ledger.folder / "src" / "ledger" / "web.py"
    source.write_text(source.read_text().replace("ok=True", "ok=True, fresh=True"))
    assert eventually(lambda: '"fresh":true' in answer(ledger).replace(" ", ""), 20)


def answer(ledger: Sample) -> str:
    try:
        return ledger.get("ops/healthz")
    except OSError:
        return ""


def test_new_migration_is_applied_by_the_next_setup(ledger: Sample) -> None:
    ledger.write("db/20260101000000_tag.sql", "alter table entry add column tag text;\n")
    result = ledger.done("setup", "--env", "development")
    assert "Apply migrations" in result.out
    with psycopg.connect(url(ledger)) as connection:
        connection.execute("select tag from entry")
    assert "nothing to change" in ledger.done("setup", "--env", "development").out


def test_migration_that_fails_leaves_the_local_file_as_it_was(ledger: Sample) -> None:
    file = ledger.folder / ".env.local"
    before = file.read_text()
    text = (ledger.folder / "ops.toml").read_text()
    broken = ledger.write(
        "db/20260201000000_broken.sql", "alter table nothing add column x text;\n"
    )
    ledger.write("ops.toml", f'{text}environment = {{ FLAVOUR = "new" }}\n')
    try:
        result = ledger.inv("setup", "--env", "development")
    finally:
        broken.unlink()
        ledger.write("ops.toml", text)
    assert result.code == 1
    assert "20260201000000_broken.sql failed" in result.err
    assert file.read_text() == before


def test_database_of_the_developer_is_used_instead(ledger: Sample) -> None:
    file: Path = ledger.folder / ".env.local"
    before = file.read_text()
    file.write_text("LEDGER_DSN='postgresql://me:secret-word@127.0.0.1:1/mine'\n")
    file.chmod(0o600)
    try:
        result = ledger.inv("setup", "--env", "development")
    finally:
        file.write_text(before)
    assert result.code == 4
    assert "database mine on 127.0.0.1:1" in result.err
    assert "secret-word" not in result.out + result.err
