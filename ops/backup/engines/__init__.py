"""Kinds of databases: how each is dumped, and how a dump of it is brought back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import SecretStr

from ops.backup.manifest import Inventory, Manifest
from ops.backup.storage import Reader, Writer
from ops.kernel.context import Context
from ops.kernel.errors import OpsError


class Unverifiable(OpsError):
    """A restore cannot even be tried here: an extension is missing, every server is too old."""


class Differs(OpsError):
    """A restored database is not what its archive says."""


@dataclass(frozen=True)
class Tool:
    """The vendor's program that makes dumps.

    Args:
        path: Its place.
        title: Name and version, e.g. "pg_dump 15.9".
    """

    path: str
    title: str


class Dump(Reader, Protocol):
    """A dump that is being made: `read` until it is empty."""

    def inventory(self) -> Inventory:
        """Return what the snapshot of this dump holds; called after the last byte was read."""


class Dumper(Protocol):
    """Makes dumps of one kind of database."""

    suffix: str
    """Of the archive's name before compression, ".dump" or ".sql"."""

    def tool(self, context: Context, url: SecretStr) -> Tool:
        """Return the program that fits the server.

        Raises:
            DependencyError: There is none of at least the server's major version; names the package.
            ConnectionFailed: The server does not answer.
        """

    def size(self, context: Context, url: SecretStr) -> int:
        """Return about how many bytes the dump will have, for progress."""

    def empty(self, context: Context, url: SecretStr) -> bool:
        """Say whether the database has no tables: there is nothing to lose."""

    def dump(self, context: Context, url: SecretStr, tool: Tool) -> AbstractContextManager[Dump]:
        """Start a dump of one consistent snapshot; every child's exit status is checked at the end of the block."""


@dataclass(frozen=True)
class Place:
    """A database that a dump may be restored into.

    Args:
        url: For a role that may create everything in it.
        binaries: Programs of that server's version by name, e.g. {"pg_restore": "/usr/lib/.../pg_restore"}.
        scratch: Folder of a server of our own, gone with it; such a server lacks what belongs to a machine, such as
            tablespaces.
    """

    url: SecretStr
    binaries: Mapping[str, str]
    scratch: Path | None = None


class Restorer(Protocol):
    """Brings dumps of one kind of database back."""

    def decode(self, context: Context, manifest: Manifest) -> AbstractContextManager[Writer]:
        """Take a whole plain dump and read it to its end without a server; the block fails when it is damaged."""

    def scratch(self, context: Context, manifest: Manifest) -> AbstractContextManager[Place]:
        """Give an empty database on a server of our own.

        Raises:
            Unverifiable: No server here can take this dump; says what is missing.
        """

    def restore(
        self, context: Context, manifest: Manifest, place: Place, *, full: bool
    ) -> AbstractContextManager[Writer]:
        """Take a whole plain dump into an empty database; without `full` no indexes and constraints."""

    def compare(
        self, context: Context, manifest: Manifest, place: Place
    ) -> AbstractContextManager[Writer]:
        """Take a whole plain dump and compare its schema with the database that it was restored into.

        Raises:
            Differs: At the end of the block, with the first differences.
        """

    def inventory(self, context: Context, url: SecretStr) -> Inventory:
        """Return what a database holds now, rows counted."""

    def server(self, context: Context) -> Server:
        """Return the environment's own server."""


class Server(Protocol):
    """The server of an environment as the place of real restores: beside the database that serves, then in its place.

    A mark is a short text that the server keeps about a database and that survives its renaming.
    """

    @property
    def database(self) -> str:
        """Name of the environment's database."""

    @property
    def where(self) -> str:
        """The server for a person: host and port, or folder of its socket."""

    @property
    def cut(self) -> str:
        """What a swap does to connections, for the person who confirms it."""

    def show(self, name: str) -> str:
        """Return the URL of one of its databases for the schema's owner, without a password."""

    def command(self, what: Literal["drop", "back"], name: str) -> str:
        """Return the command for a person that drops a database, or puts it back in the environment's place."""

    def marks(self) -> Mapping[str, str]:
        """Return the mark of every database of the server by its name, empty for none."""

    def check(self, manifest: Manifest) -> None:
        """Find out before the first change that a restore cannot work: privileges, roles, extensions, versions."""

    def make(self, manifest: Manifest, name: str, mark: str) -> Place:
        """Make an empty database that nobody else may enter."""

    def finish(self, manifest: Manifest, name: str, mark: str) -> None:
        """Make a restored database ready: statistics, and owner, rights and settings of the environment's database."""

    def rename(self, name: str, new: str, mark: str) -> None:
        """Rename a database that nobody uses."""

    def swap(self, name: str, old: str, mark: str) -> None:
        """Put a database in the place of the environment's, which is called `old` then and gets the mark.

        At once: whatever happens in between, one of both is in its place.
        """

    def drop(self, name: str) -> None:
        """Drop a database, also one that is in use; one that is gone is no error."""


def dumper(engine: str) -> Dumper:
    """Return what makes dumps of this kind of database, `postgres` or `mysql`."""
    if engine == "mysql":
        from ops.backup.engines.mysql import MysqlDumper

        return MysqlDumper()
    from ops.backup.engines.postgres import PostgresDumper

    return PostgresDumper()


def restorer(engine: str) -> Restorer:
    """Return what brings dumps of this kind of database back, `postgres` or `mysql`."""
    if engine == "mysql":
        from ops.backup.engines.mysql_restore import MysqlRestorer

        return MysqlRestorer()
    from ops.backup.engines.postgres_restore import PostgresRestorer

    return PostgresRestorer()
