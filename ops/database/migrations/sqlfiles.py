"""Plain SQL files: what is pending, and its application, each file exactly once whatever is killed when."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from pydantic import SecretStr

from ops.database import sql
from ops.database.migrations import files, ledger
from ops.database.migrations.files import File
from ops.database.migrations.ledger import Record
from ops.database.migrations.model import Entry, Migration, Source


def entries(source: Source, url: SecretStr) -> list[Entry]:
    """Return every migration that the folder or the database knows, in order.

    Raises:
        ConfigurationError: The folder is wrong.
        ConnectionFailed: The database does not answer.
    """
    there = files.read(source)
    with sql.connect(url, read_only=True) as connection:
        tables = ledger.find(connection, source)
        records = tables.records(connection) if tables else {}
    known = {each.migration.id for each in there}
    missing = [
        Entry(version, record.name, "missing", None, record.at, record.run)
        for version, record in records.items()
        if version not in known
    ]
    found = [_entry(each, records.get(each.migration.id)) for each in there]
    return sorted([*found, *missing], key=lambda each: (_number(each.id), each.id))


def batches(source: Source, waiting: Sequence[Migration]) -> list[list[Migration]]:
    """Group what is pending as it is applied: neighbours that share one transaction, and each other one alone."""
    by_version = {each.migration.id: each for each in files.read(source)}
    found: list[list[Migration]] = []
    open_batch = False
    for each in waiting:
        if open_batch and each.transactional:
            found[-1].append(each)
        else:
            found.append([each])
        open_batch = each.transactional and not by_version[each.id].ends_batch
    return found


def check(source: Source, waiting: Sequence[Migration]) -> None:
    """Refuse files that cannot be run, before the first of them is.

    Raises:
        ConfigurationError: psql's own commands, or a half-applied file whose beginning was changed.
    """
    ids = {each.id for each in waiting}
    for each in files.read(source):
        if each.migration.id in ids:
            files.refuse_psql(each)


def _entry(file: File, record: Record | None) -> Entry:
    each = file.migration
    if record is None:
        return Entry(each.id, each.title, "pending", each)
    if not record.done:
        # What is carried out in part goes on where it stopped, even if a transaction could have taken it back.
        begun = replace(
            each,
            statements_done=record.statements_done,
            transactional=each.transactional and not record.statements_done,
        )
        return Entry(each.id, each.title, "running", begun, record.at, record.run)
    if record.checksum and record.checksum != each.checksum:
        return Entry(
            each.id, each.title, "changed", each, record.at, record.run, _difference(file, record)
        )
    return Entry(each.id, each.title, "applied", each, record.at, record.run)


def _difference(file: File, record: Record) -> str:
    if not record.text:
        return ""  # applied before its text was kept
    lines = difflib.unified_diff(
        record.text.splitlines(),
        file.migration.text.splitlines(),
        f"{file.path.name} as applied",
        f"{file.path.name} now",
        lineterm="",
        n=1,
    )
    return "\n".join(lines)


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
