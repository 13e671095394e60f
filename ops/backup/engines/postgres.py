"""Dumps of PostgreSQL: pg_dump in its custom format without compression, rows counted in the same snapshot."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from psycopg import sql as statements
from pydantic import SecretStr

from ops.backup.engines import Tool, libpq, postgres_inventory
from ops.backup.engines.postgres_counting import Counting
from ops.backup.manifest import Inventory
from ops.database import sql
from ops.hosts import home, pipes, tools
from ops.kernel.context import Context
from ops.kernel.errors import (
    ConnectionFailed,
    DependencyError,
    Interrupted,
    NotPermitted,
    StepFailed,
    TimeLimitReached,
)

MAGIC: Final = b"PGDMP"
"""First bytes of a custom-format archive (source: PostgreSQL, pg_backup_archiver.c)."""
CLIENT: Final = replace(
    tools.KITS["postgres"],
    title="pg_dump",
    programs=("pg_dump", "pg_restore"),
    debian="postgresql-client",
    brew="libpq",
)
_WRAPPER: Final = "pg_wrapper"
"""Debian's /usr/bin/pg_dump: it chooses a version by the cluster, not by the server that is asked for."""
_LOST: Final = re.compile(r"server closed the connection|terminating connection|could not connect")
_ERROR: Final = re.compile(r"^pg_dump: (?:error: )+(.*)$", re.MULTILINE)
_SIZE: Final = """
select coalesce(sum(pg_table_size(c.oid)), 0) + pg_table_size('pg_largeobject')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
"""
_NAMED: Final = 5
_PATIENCE: Final = "500ms"


class PostgresDumper:
    """Makes dumps of PostgreSQL."""

    suffix: str = ".dump"

    def tool(self, context: Context, url: SecretStr) -> Tool:
        """Return the pg_dump of the server's major version, else of the next above it.

        Raises:
            DependencyError: None is new enough; names the package.
            ConnectionFailed: The server does not answer.
        """
        with sql.connect(url, read_only=True) as connection:
            major = connection.info.server_version // 10_000
        found = _clients(context)
        fitting = [each for each in found if each[0] >= major]
        if not fitting:
            newest = max((each[0] for each in found), default=0)
            raise DependencyError(
                f"pg_dump {major} or newer is not on this machine",
                why=f"the server is PostgreSQL {major}, the newest pg_dump here is {newest or 'none'}",
                hint=f"{CLIENT.command}{f'-{major}' if 'apt' in CLIENT.command else ''}",
            )
        path = min(fitting, key=lambda each: each[0])[1] / "pg_dump"
        return Tool(str(path), f"pg_dump {tools.version(path)}")

    def size(self, context: Context, url: SecretStr) -> int:
        """Return about how many bytes the dump will have: those of the tables without indexes.

        0 when somebody holds a lock on one of them: the server measures a table only under a lock of its own.
        """
        with contextlib.suppress(StepFailed):
            with sql.connect(url, read_only=True, lock_timeout=_PATIENCE) as connection:
                row = connection.execute(_SIZE).fetchone()
            return int(row[0]) if row else 0
        return 0

    def empty(self, context: Context, url: SecretStr) -> bool:
        """Say whether the database has no tables."""
        with sql.connect(url, read_only=True) as connection:
            return not postgres_inventory.tables(connection)

    @contextlib.contextmanager
    def dump(self, context: Context, url: SecretStr, tool: Tool) -> Iterator[PostgresDump]:
        """Start a dump of one snapshot, and count the rows of the same snapshot beside it.

        Raises:
            NotPermitted: The role may not read a table, or row security hides rows from it.
            StepFailed: pg_dump failed, or what it wrote is no archive.
            ConnectionFailed: The server went away.
        """
        database, environment = libpq.client(url)
        with sql.connect(url, read_only=True, application_name="invops backup") as connection:
            connection.execute("set transaction isolation level repeatable read")
            # The snapshot lives as long as this transaction does, whatever the role's own limits are.
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                connection.execute(
                    statements.SQL("set local {} = 0").format(statements.Identifier(name))
                )
            row = connection.execute("select pg_export_snapshot()").fetchone()
            found = postgres_inventory.tables(connection)
            _refuse_unreadable(connection.info.user, found)
            argv = [
                tool.path,
                "--format=custom",
                "--compress=0",
                "--no-password",
                f"--snapshot={row[0] if row else ''}",
                database,
            ]
            counting = Counting(context, connection, found)
            with (
                _explained(),
                pipes.reading(context, argv, environment=environment) as output,
                counting.beside(),
            ):
                yield PostgresDump(output, counting)


class PostgresDump:
    """A dump that is being made.

    Args:
        output: Of pg_dump.
        counting: The rows of its snapshot.
    """

    def __init__(self, output: pipes.Output, counting: Counting) -> None:
        self._output = output
        self._counting = counting
        self._begun = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            StepFailed: It is not an archive of pg_dump.
        """
        if self._begun:
            return self._output.read(size if size > 0 else pipes.CHUNK)
        while len(self._begun) < len(MAGIC) and (piece := self._output.read()):
            self._begun += piece
        if self._begun and not self._begun.startswith(MAGIC):
            raise StepFailed("pg_dump wrote no archive", why=f"it begins with {self._begun[:20]!r}")
        return self._begun

    def inventory(self) -> Inventory:
        """Return what the snapshot holds; waits until its rows are counted."""
        return self._counting.result()


def _clients(context: Context) -> list[tuple[int, Path]]:
    """Return major version and folder of every pg_dump here, best first."""
    return [
        (int(tools.version(folder / "pg_dump").split(".")[0]), folder)
        for folder in tools.folders(home.of(context.settings), CLIENT)
        if (folder / "pg_dump").resolve().name != _WRAPPER
    ]


def _refuse_unreadable(user: str, found: Sequence[postgres_inventory.Found]) -> None:
    closed = [each.title for each in found if not each.readable]
    hidden = [each.title for each in found if each.readable and each.filtered]
    what = "may not read" if closed else "does not see all rows of"
    if not (closed or hidden):
        return
    names = closed or hidden
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise NotPermitted(
        f"role {user} {what} {', '.join(names[:_NAMED])}{more}",
        why="" if closed else "row security hides some from it",
        hint="back up as the owner: migration_url in ops.toml; "
        + (
            f"or: grant pg_read_all_data to {user}"
            if closed
            else f"or: alter role {user} bypassrls"
        ),
    )


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say in one line why pg_dump failed."""
    try:
        yield
    except (TimeLimitReached, Interrupted):
        raise
    except StepFailed as error:
        said = _ERROR.findall(error.why)
        why = said[0] if said else error.what.partition(":")[0]
        if _LOST.search(error.why):
            raise ConnectionFailed(
                "PostgreSQL went away during the dump", why=why, hint="is the server up? inv status"
            ) from error
        raise StepFailed("pg_dump failed", why=why, hint="inv runs.show says more") from error
