"""Which migrations of an application are pending, and their application: Alembic or a folder of SQL files.

Alembic runs with the release's own interpreter, so its env.py sees what the application sees.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from ops.database import sql
from ops.hosts import runner
from ops.hosts.account import Account
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, StepFailed

LOCK_TIMEOUT = "5s"
"""A migration waits this long for a lock, then fails: the queue behind it is the outage (strong_migrations)."""

BREAKS_OLD = re.compile(r"^\s*--\s*invops:\s*breaks-old\s*$", re.MULTILINE)
WRAPPED = re.compile(
    rb"((?:\s|--[^\n]*\n)*)(?:BEGIN|START\s+TRANSACTION)\s*;(.*);\s*COMMIT\s*;\s*",
    re.IGNORECASE | re.DOTALL,
)
HISTORY = """create table if not exists schema_migrations (
    version text primary key, name text not null, sha256 text not null,
    applied_at timestamptz not null default now())"""


@dataclass(frozen=True)
class Source:
    """Where an application's migrations are.

    Args:
        kind: `alembic` or `sql`.
        path: The alembic.ini, or the folder of SQL files.
        python: Interpreter with the application's dependencies, for Alembic.
        environment: Variables of the commands, without the database's URL.
        variable: Variable that carries the database's URL.
        account: User to run as, None for this one.
    """

    kind: str
    path: Path
    python: Path
    environment: Mapping[str, str]
    variable: str
    account: Account | None


@dataclass(frozen=True)
class Migration:
    """A migration that is not applied yet.

    Args:
        id: Revision or version.
        title: Its name or first line.
        breaks_old: Whether it declares that the release before it stops working.
        checksum: SHA-256 of its file.
    """

    id: str
    title: str
    breaks_old: bool
    checksum: str


def pending(context: Context, source: Source, url: SecretStr) -> list[Migration]:
    """List what is not applied, in order.

    Raises:
        ConfigurationError: The migrations cannot be read, or an applied file was changed.
        ConnectionFailed: The database does not answer.
    """
    if source.kind == "alembic":
        return _alembic_pending(context, source, url)
    with sql.connect(url, read_only=True) as connection:
        return [each.migration for each in _files_pending(source, _applied(connection))]


def apply(context: Context, source: Source, url: SecretStr) -> None:
    """Apply all that is pending, in one transaction where the tool allows it.

    Raises:
        StepFailed: A migration failed.
    """
    if source.kind == "alembic":
        argv = [str(source.python), "-m", "alembic", "-c", source.path.name, "upgrade", "head"]
        _run(context, source, url, argv, reads=False)
        return
    with sql.connect(url, read_only=False, lock_timeout=LOCK_TIMEOUT) as connection:
        connection.execute(HISTORY)
        for each in _files_pending(source, _applied(connection)):
            context.note(each.path.name)
            with sql.translated(f"{each.path.name} failed"):
                connection.execute(_unwrapped(each.text))
                ended_itself = not sql.in_transaction(connection)
                connection.execute(
                    "insert into schema_migrations (version, name, sha256) values (%s, %s, %s)",
                    [each.migration.id, each.migration.title, each.migration.checksum],
                )
            if ended_itself:  # what it did is there to stay, so is its record
                connection.commit()


def _unwrapped(text: bytes) -> bytes:
    """Return a file without the BEGIN and COMMIT around all of it: it shares one transaction with the others."""
    found = WRAPPED.fullmatch(text)
    return found[1] + found[2] if found else text


@dataclass(frozen=True)
class _File:
    path: Path
    text: bytes
    migration: Migration


def _files(source: Source) -> list[_File]:
    if not source.path.is_dir():
        raise ConfigurationError(
            f"the release has no folder of migrations {source.path}",
            hint="commit it, or correct `path` of [migrations] in ops.toml",
        )
    found = []
    for path in sorted(source.path.glob("*.sql")):
        version, _, name = path.stem.partition("_")
        if not version.isdigit():
            raise ConfigurationError(
                f"{path.name} has no version", hint="name it <number>_<name>.sql"
            )
        text = path.read_bytes()
        breaks = bool(BREAKS_OLD.search(text.decode(errors="replace")))
        checksum = hashlib.sha256(text).hexdigest()
        found.append(_File(path, text, Migration(version, name, breaks, checksum)))
    return sorted(found, key=lambda each: (len(each.migration.id), each.migration.id))


def _files_pending(source: Source, applied: Mapping[str, str]) -> list[_File]:
    waiting = []
    for each in _files(source):
        known = applied.get(each.migration.id)
        if known is None:
            waiting.append(each)
        elif known != each.migration.checksum:
            raise ConfigurationError(
                f"{each.path.name} was changed after it was applied",
                hint="restore it and write a new migration",
            )
    return waiting


def _applied(connection: sql.Connection) -> dict[str, str]:
    row = connection.execute("select to_regclass('schema_migrations')").fetchone()
    if row is None or row[0] is None:
        return {}
    return dict(connection.execute("select version, sha256 from schema_migrations").fetchall())


def _alembic_pending(context: Context, source: Source, url: SecretStr) -> list[Migration]:
    probe = (importlib.resources.files("ops.database") / "alembic_probe.py").read_text()
    answer = _run(
        context, source, url, [str(source.python), "-c", probe, source.path.name], reads=True
    )
    try:
        rows = json.loads(answer.strip().splitlines()[-1])
        return [Migration(**row) for row in rows]
    except (ValueError, IndexError, TypeError) as error:
        raise StepFailed("cannot read the state of the migrations", why=answer[-500:]) from error


def _run(context: Context, source: Source, url: SecretStr, argv: list[str], *, reads: bool) -> str:
    environment = {
        **source.environment,
        source.variable: url.get_secret_value(),
        "PGOPTIONS": f"-c lock_timeout={LOCK_TIMEOUT}",
    }
    folder = source.path.parent
    return runner.run(
        context, argv, reads=reads, cwd=folder, environment=environment, account=source.account
    ).stdout
