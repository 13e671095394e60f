"""A folder of SQL files: their versions, their statements, and whether a transaction can take each of them back."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.database.migrations.model import Migration, Source
from ops.database.statements import Statement, split
from ops.kernel.errors import ConfigurationError

_BREAKS_OLD: Final = re.compile(r"^\s*--\s*invops:\s*breaks-old\s*$", re.MULTILINE)
_NO_TRANSACTION: Final = re.compile(r"^\s*--\s*invops:\s*no-transaction\s*$", re.MULTILINE)
# PostgreSQL refuses these in a transaction (source: the notes of each command's manual page).
_ALONE: Final = re.compile(
    r"(create (unique )?index concurrently|drop index concurrently|reindex .*\bconcurrently\b"
    r"|reindex (\( [^)]*\) )?(database|schema|system)|vacuum|alter system"
    r"|(create|drop) (database|tablespace|subscription)|alter database \S+ set tablespace"
    r"|alter table .* detach partition .* concurrently)\b"
)
_CONCURRENTLY: Final = re.compile(
    r"(create (unique )?index|drop index|reindex\b.*|alter table .* detach partition .*) \(? ?concurrently\b"
)
_COMMITS: Final = re.compile(r"(call|do)\b")  # what they run may commit
_BEGIN: Final = re.compile(r"(begin|start transaction)\b")
_END: Final = re.compile(r"(commit|end)\b(?! prepared)")
_CONTROL: Final = re.compile(
    r"(begin|start transaction|commit|end|abort|rollback(?! .*\bto\b)|rollback$|prepare transaction)\b"
)
_NEW_VALUE: Final = re.compile(r"alter type .* add value\b")
_SHOWN: Final = 3
_FROM_CLIENT: Final = re.compile(r"copy .* from stdin\b")


@dataclass(frozen=True)
class File:
    """One SQL file.

    Args:
        path: Where it is.
        migration: What it is.
        statements: Its statements, without a BEGIN and COMMIT around all of them.
    """

    path: Path
    migration: Migration
    statements: tuple[Statement, ...]

    @property
    def ends_batch(self) -> bool:
        """Whether the next file needs it committed: a new value of an enum cannot be used before."""
        return any(_NEW_VALUE.match(_words(each)) for each in self.statements)


def read(source: Source) -> list[File]:
    """Return the files of a folder, in the order of their versions.

    Raises:
        ConfigurationError: There is no such folder, a file has no version, or two have the same.
    """
    if not source.path.is_dir():
        raise ConfigurationError(
            f"there is no folder of migrations {source.path}",
            hint="commit it, or correct `path` of [migrations] in ops.toml",
        )
    found: dict[int, File] = {}
    for path in sorted(source.path.glob("*.sql")):
        file = _file(path)
        there = found.setdefault(int(file.migration.id), file)
        if there is not file:
            raise ConfigurationError(
                f"{there.path.name} and {path.name} have the same version",
                hint="give one of them a new number",
            )
    return [found[number] for number in sorted(found)]


def refuse_psql(file: File) -> None:
    """Refuse what only psql understands, before anything is run.

    Raises:
        ConfigurationError: A command of psql, or data inside of the file.
    """
    for each in file.statements:
        if each.text.startswith("\\") or _FROM_CLIENT.match(_words(each)):
            raise ConfigurationError(
                f"{file.path.name}, line {each.line}, is for psql only: {excerpt(each.text, 60)}",
                hint="write SQL; data as INSERT: pg_dump --inserts",
            )


def must_stand_alone(statement: Statement) -> bool:
    """Say whether PostgreSQL refuses a statement in a transaction, or may do so."""
    words = _words(statement)
    return bool(_ALONE.match(words) or _COMMITS.match(words))


def is_concurrent(statement: Statement) -> bool:
    """Say whether a statement waits for others without keeping anybody waiting."""
    return bool(_CONCURRENTLY.match(_words(statement)))


def ends_transaction(statement: Statement) -> bool:
    """Say whether a statement commits a transaction of the file's own."""
    return bool(_END.match(_words(statement)))


def controls_transaction(statement: Statement) -> bool:
    """Say whether a statement begins or ends a transaction."""
    return bool(_CONTROL.match(_words(statement)))


def summary(text: str) -> str:
    """Return the beginnings of a file's first statements on one line."""
    found = statements_of(text)
    shown = "; ".join(excerpt(each.text, 60) for each in found[:_SHOWN])
    more = len(found) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"


def excerpt(text: str, length: int = 200) -> str:
    """Return the beginning of a statement on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}…"


def statements_of(text: str) -> tuple[Statement, ...]:
    """Return the statements of a file's text, without a BEGIN and COMMIT around all of them."""
    return _unwrapped(split(text))


def is_transactional(text: str) -> bool:
    """Say whether one transaction around all of a file takes it back when it fails."""
    if _NO_TRANSACTION.search(text):
        return False
    return not any(
        _ALONE.match(_words(each)) or controls_transaction(each) for each in statements_of(text)
    )


def _file(path: Path) -> File:
    version, _, name = path.stem.partition("_")
    if not (version.isascii() and version.isdigit()):
        raise ConfigurationError(f"{path.name} has no version", hint="name it <number>_<name>.sql")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path.name} is not UTF-8", why=str(error.reason), hint=f"file {path}"
        ) from error
    statements = statements_of(text)
    migration = Migration(
        id=version,
        title=name,
        breaks_old=bool(_BREAKS_OLD.search(text)),
        checksum=hashlib.sha256(content).hexdigest(),
        file=path.name,
        text=text,
        transactional=is_transactional(text),
    )
    return File(path, migration, statements)


def _unwrapped(statements: list[Statement]) -> tuple[Statement, ...]:
    """Leave out the BEGIN and COMMIT around all of a file: it shares one transaction with the others."""
    control = [each for each in statements if controls_transaction(each)]
    wrapped = len(control) == 2 and control == [statements[0], statements[-1]]
    if wrapped and _BEGIN.match(_words(control[0])) and _END.match(_words(control[1])):
        return tuple(statements[1:-1])
    return tuple(statements)


def _words(statement: Statement) -> str:
    return " ".join(each.word or each.text for each in statement.tokens[:40])
