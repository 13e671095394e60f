"""Kinds of databases: how each is dumped, and how a dump of it is brought back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from ops.backup.manifest import Inventory, Manifest
from ops.backup.storage import Reader, Writer
from ops.kernel.context import Context
from ops.kernel.errors import OpsError


class Unverifiable(OpsError):
    """A restore cannot even be tried here: an extension is missing, every server is too old."""


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

    def dump(self, context: Context, url: SecretStr, tool: Tool) -> AbstractContextManager[Dump]:
        """Start a dump of one consistent snapshot; every child's exit status is checked at the end of the block."""


@dataclass(frozen=True)
class Place:
    """A database that a dump may be restored into.

    Args:
        url: For a role that may create everything in it.
        binaries: Programs of that server's version by name, e.g. {"pg_restore": "/usr/lib/.../pg_restore"}.
    """

    url: SecretStr
    binaries: Mapping[str, str]


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

    def inventory(self, context: Context, url: SecretStr) -> Inventory:
        """Return what a database holds now, rows counted."""
