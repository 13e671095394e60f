"""Where archives are kept: one small port, a folder or S3 behind it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ops.kernel.context import Context

S3: Final = "s3://"


@dataclass(frozen=True)
class Entry:
    """A complete object of a store.

    Args:
        name: Without folder or prefix, e.g. "20261121T093000Z-3fa2c1.dump.zst.age".
        size: Bytes.
    """

    name: str
    size: int


class Writer(Protocol):
    """Takes the bytes of a new object."""

    def write(self, data: bytes) -> int:
        """Take all of `data`."""

    def flush(self) -> None:
        """Do nothing that a caller could rely on."""


class Reader(Protocol):
    """Gives the bytes of an object."""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none at the end."""


class Store(Protocol):
    """The place of one environment's backups. Every change asks `guard.effect` first.

    Raises, in all methods: ConnectionFailed (does not answer), NotPermitted (refused), ConfigurationError (no such
    folder, bucket or object), OpsError (disk full). One line each, with what to do.
    """

    @property
    def where(self) -> str:
        """The place for a person, e.g. "/var/backups/shop/production" or "s3://bucket/shop/production"."""

    def check(self) -> None:
        """Find out before the first change that it cannot be written; changes nothing."""

    def writer(self, name: str) -> AbstractContextManager[Writer]:
        """Write a new object of any size in constant memory.

        It is listed and readable under its name only after the block has ended well; a block that ends with an
        error leaves nothing, a killed one leaves what `sweep` removes.
        """

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a small object atomically."""

    def get(self, name: str) -> bytes:
        """Return a small object."""

    def reader(self, name: str) -> AbstractContextManager[Reader]:
        """Read an object of any size in constant memory."""

    def entries(self) -> Sequence[Entry]:
        """Return all complete objects, by name."""

    def delete(self, name: str) -> None:
        """Delete an object; one that is gone is no error."""

    def sweep(self) -> int:
        """Remove what killed writers left behind, return how many."""


def of(context: Context) -> Store:
    """Return where the environment's backups are kept: below `<app>/<environment>/` of the chosen destination.

    Without a destination it is a folder of the environment in this machine's home.
    """
    settings = context.settings
    chosen = settings.environment.backup_destination or settings.backup.destination
    below = f"{settings.app.name}/{settings.name}"
    if chosen.startswith(S3):
        from ops.backup.storage.s3 import S3Store

        bucket, _, prefix = chosen.removeprefix(S3).partition("/")
        inside = "/".join(filter(None, (prefix.strip("/"), below)))
        return S3Store(context, bucket, inside)
    from ops.backup.storage.folder import FolderStore
    from ops.hosts import home

    if chosen:
        base = settings.folder / Path(chosen).expanduser()
        return FolderStore(base / below, base)
    return FolderStore(home.of(settings).environment(settings.name) / "backups", None)
