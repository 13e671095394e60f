"""What can be wrong with a backup: one line, the right exit code, nothing changed, nothing half-done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import tasks
from tests.support.commands import Answer, Command
from tests.support.postgres import Postgres
from tests.support.vault import Vault

pytestmark = pytest.mark.integration
Inv = Callable[..., Answer]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as made:
        with made.connect("postgres") as connection:
            connection.execute("create role guarded login password 'right-password'")
            connection.execute("alter system set password_encryption = 'scram-sha-256'")
        rules = made.folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
        made.stop()
        made.start()
        with made.connect("postgres") as connection:
            connection.execute("create database shop_prod")
        with made.connect("shop_prod") as connection:
            connection.execute("create table t as select n from generate_series(1, 1000) n")
        yield made


@pytest.fixture
def vault(tmp_path: Path, server: Postgres) -> Vault:
    return Vault(tmp_path, server.url("shop_prod"))


@pytest.fixture
def inv(vault: Vault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Inv:
    monkeypatch.chdir(vault.folder)
    monkeypatch.setenv("OPS_HOME", str(vault.folder / "home"))
    run = Command(capsys)

    def call(*words: str) -> Answer:
        monkeypatch.setenv("SHOP_DATABASE", vault.url)
        return run(*words, tasks=tasks.collection())

    return call


def assert_refused(answer: Answer, code: int, said: str) -> None:
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert answer.code == code, answer.out + answer.err
    assert len(errors) == 1 and "Traceback" not in answer.err, answer.err
    assert "unexpected" not in errors[0] and re.search(said, answer.err), answer.err
    assert "right-password" not in answer.err and "wrong-password" not in answer.err


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("/shop_prod", "/unknown", 4, 'database "unknown" does not exist'),
        ("owner@", "nobody-there@", 4, 'role "nobody-there" does not exist'),
        ("owner@", "guarded:wrong-password@", 4, "password authentication failed"),
        ("?host=/", "?host=/not-there/", 4, "cannot connect to database shop_prod"),
        ("postgresql://", "", 3, "the URL of the database is not valid"),
    ],
)
def test_a_database_that_cannot_be_reached(
    vault: Vault, inv: Inv, old: str, new: str, code: int, said: str
) -> None:
    vault.url = vault.url.replace(old, new)
    assert_refused(inv("backup"), code, said)
    assert vault.names() == [] and vault.last_run() is None


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        ('destination = "not/mounted"', 3, "the folder for backups does not exist: .*not/mounted"),
        ('destination = "ops.toml"', 3, "the folder for backups does not exist"),
        ('destination = "/proc"', 1, "cannot create /proc/shop"),
        ('recipients = ["age1nonsense"]', 3, "key 1 is no public key: age1nonsense"),
        ('recipients = ["ssh-dss AAAA"]', 3, "key 1 is no public key"),
    ],
)
def test_a_destination_or_key_that_is_wrong(
    vault: Vault, inv: Inv, extra: str, code: int, said: str
) -> None:
    vault.configure(extra)
    answer = inv("backup")
    # Nobody may write /proc; which refusal the system gives is its own business.
    found = answer.code if '"/proc"' in extra and answer.code in (1, 3, 5) else code
    assert_refused(answer, found, "/proc" if '"/proc"' in extra else said)
    assert vault.names() == []


def test_another_kind_of_database(vault: Vault, inv: Inv) -> None:
    assert_refused(inv("backup", "--db-type", "mysql"), 3, "is postgres, not 'mysql'")
    assert_refused(inv("backup", "--db-type", "oracle"), 3, "is postgres, not 'oracle'")


def test_a_project_without_database(vault: Vault, inv: Inv) -> None:
    path = vault.folder / "ops.toml"
    text = path.read_text().replace('[database]\nengine = "postgres"\n', "")
    path.write_text(text.replace('database_url = "env:SHOP_DATABASE"\n', ""))
    assert_refused(inv("backup"), 3, r"ops.toml has no \[database\]")


def test_an_embedded_server_that_was_never_made(vault: Vault, inv: Inv) -> None:
    vault.url = ""
    vault.configure()
    assert_refused(inv("backup"), 3, "has no database shop_prod yet")
    assert not (vault.folder / "home").exists()


def test_a_level_that_is_too_low(vault: Vault, inv: Inv) -> None:
    vault.configure(environment='level = "read"')
    assert_refused(inv("backup"), 5, "needs level write")
    vault.configure(environment='level = "write"')
    assert_refused(inv("backup.prune"), 5, "needs level admin")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("backup.key", "--prove", "nothing"), 3, "prod has no backup 'nothing'"),
        (("backup.key", "--out", "ops.toml"), 3, "a key is never overwritten"),
        (("backup.key", "--out", "no/folder/key"), 3, "there is no folder"),
    ],
)
def test_wrong_arguments(
    vault: Vault, inv: Inv, words: tuple[str, ...], code: int, said: str
) -> None:
    vault.taken()
    assert_refused(inv(*words), code, said)


def test_a_key_that_cannot_be_read(vault: Vault, inv: Inv) -> None:
    key = inv("backup.key", "--format", "json").json
    vault.configure(key["ops_toml"].removeprefix("[backup]\n"))
    assert inv("backup").code == 0
    backup = vault.backups()[0]
    (vault.folder / ".ops" / "backup.agekey").chmod(0o644)
    assert_refused(inv("backup.key", "--prove", backup.id), 5, "can be read by everybody")
    (vault.folder / ".ops" / "backup.agekey").unlink()
    assert_refused(inv("backup.key", "--prove", backup.id), 3, "backup.agekey is missing")


FAKES = {
    "nothing": ("exit 0", "the dump is empty"),
    "no archive": ("echo '-- PostgreSQL dump'", "pg_dump wrote no archive"),
    "failure": (
        "printf PGDMP; echo 'pg_dump: error: out of luck' >&2; exit 1",
        "pg_dump failed: out of luck",
    ),
    "killed": (
        "printf PGDMP; head -c 500000 /dev/zero; kill -9 $$",
        "pg_dump failed: ended by SIGKILL",
    ),
    "silent": ("exit 3", "the dump is empty|pg_dump failed: exit code 3"),
}


@pytest.mark.parametrize("name", FAKES)
def test_a_tool_that_makes_no_archive(
    vault: Vault, inv: Inv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    script, said = FAKES[name]
    major = _major(vault)
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("pg_dump", "pg_restore"):
        path = folder / program
        path.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "{program} (PostgreSQL) {major}.99" && exit\n{script}\n'
        )
        path.chmod(0o755)
    for parent in (tmp_path, *tmp_path.parents):  # as root the service user must be able to enter
        if parent.stat().st_mode & 0o001 == 0 and parent.owner() == folder.owner():
            parent.chmod(parent.stat().st_mode | 0o011)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert_refused(inv("backup"), 1, said)
    assert vault.names() == []
    monkeypatch.undo()
    assert vault.taken()


def _major(vault: Vault) -> int:
    import psycopg

    with psycopg.connect(vault.url) as connection:
        return connection.info.server_version // 10_000


def test_a_tool_that_is_too_old(vault: Vault, inv: Inv, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from ops.backup.engines import postgres

    # A machine that has no pg_dump of its own; the server's version stays what it is.
    monkeypatch.setattr(postgres, "CLIENT", replace(postgres.CLIENT, folders=(), oldest=(99,)))
    answer = inv("backup")
    assert_refused(answer, 2, rf"pg_dump {_major(vault)} or newer is not on this machine")
    assert f"postgresql-client-{_major(vault)}" in answer.err
