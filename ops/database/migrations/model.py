"""What a migration is, where migrations are found, and in which state each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ops.hosts.account import Account

State = Literal["applied", "pending", "running", "changed", "missing"]
"""`running`: begun and not ended, so the run that did it was killed or failed; `missing`: its file is gone."""

_WORD: Final = re.compile(r"\w+")


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
        commit: Commit that the files come from, empty when unknown.
    """

    kind: str
    path: Path
    python: Path
    environment: Mapping[str, str]
    variable: str
    account: Account | None
    commit: str = ""


@dataclass(frozen=True)
class Migration:
    """A migration of the source.

    Args:
        id: Revision or version.
        title: Its name or first line.
        breaks_old: Whether it declares that the release before it stops working.
        checksum: SHA-256 of its file.
        file: Name of its file.
        text: Content of its file.
        transactional: Whether all of it is taken back when it fails.
        statements_done: How many statements of one that cannot be taken back a broken run carried out.
    """

    id: str
    title: str
    breaks_old: bool
    checksum: str
    file: str = ""
    text: str = ""
    transactional: bool = True
    statements_done: int = 0


@dataclass(frozen=True)
class Entry:
    """A migration and what the database knows about it.

    Args:
        id: Revision or version.
        title: Its name.
        state: See `State`.
        migration: As the source has it, None when the file is missing.
        at: When it was applied, as text of the database; empty when unknown.
        run: Run that applied it; empty when unknown.
        difference: What was changed since it was applied, as a diff.
    """

    id: str
    title: str
    state: State
    migration: Migration | None = None
    at: str = ""
    run: str = ""
    difference: str = ""


def words(migrations: list[Migration]) -> list[str]:
    """Return every word of the migrations: the names of tables and indexes that they touch are among them."""
    return sorted({word for each in migrations for word in _WORD.findall(each.text)})
