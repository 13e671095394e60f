"""Archives in a folder of this machine, or of one that is mounted here."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final

from ops.backup.storage import Entry, Reader
from ops.kernel import files
from ops.kernel.errors import ConfigurationError, NotPermitted

PARTIAL: Final = ".partial"


class FolderStore:
    """Archives of one environment, 0600 in a 0700 folder.

    An object is written under a partial name that its writer locks, and gets its own when it is on disk. The system
    gives the lock back when the writer ends, however it ends, so `sweep` removes what it can lock.

    Args:
        folder: Where they lie; made when it is missing.
        base: The folder that a person chose, which must be there: one below an unmounted disk would fill the
            disk of the machine. None for a folder of our own home.
    """

    def __init__(self, folder: Path, base: Path | None) -> None:
        self._folder = folder
        self._base = base

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    def check(self) -> None:
        """Find out that the folder cannot be written; changes nothing.

        Raises:
            ConfigurationError: The chosen folder does not exist.
            NotPermitted: This user may not write it.
        """
        if self._base is not None and not self._base.is_dir():
            raise ConfigurationError(
                f"the folder for backups does not exist: {self._base}",
                hint=f"make it or mount it, or change backup.destination: mkdir -p {self._base}",
            )
        nearest = next(each for each in (self._folder, *self._folder.parents) if each.exists())
        if not nearest.is_dir():
            raise ConfigurationError(f"{nearest} is not a folder", hint="change backup.destination")
        if os.statvfs(nearest).f_flag & os.ST_RDONLY or not os.access(nearest, os.W_OK | os.X_OK):
            raise NotPermitted(
                f"the folder for backups cannot be written: {nearest}",
                hint=f"check its owner: ls -ld {nearest}",
            )

    @contextlib.contextmanager
    def writer(self, name: str) -> Iterator[BinaryIO]:
        """Write a new object; see `Store`."""
        self._make()
        partial = self._folder / f"{name}{PARTIAL}"
        try:
            with files.stream(partial) as opened:
                fcntl.flock(opened.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield opened
            files.rename(partial, self._folder / name)
        except BaseException:
            files.remove(partial)
            raise
        files.settle(self._folder)

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a small object atomically."""
        self._make()
        files.write(self._folder / name, data)
        files.settle(self._folder)

    def get(self, name: str) -> bytes:
        """Return a small object."""
        with files.translated(f"cannot read {self._folder / name}"):
            return (self._folder / name).read_bytes()

    def reader(self, name: str) -> AbstractContextManager[Reader]:
        """Read an object of any size."""
        with files.translated(f"cannot read {self._folder / name}"):
            return (self._folder / name).open("rb")

    def entries(self) -> Sequence[Entry]:
        """Return all complete objects, by name."""
        return [
            Entry(path.name, path.stat().st_size)
            for path in self._files()
            if not path.name.startswith(".") and path.suffix != PARTIAL
        ]

    def delete(self, name: str) -> None:
        """Delete an object; one that is gone is no error."""
        files.remove(self._folder / name)

    def sweep(self) -> int:
        """Remove what killed writers left behind, return how many."""
        left = [path for path in self._files() if path.suffix == PARTIAL and _is_free(path)]
        return sum(files.remove(path) for path in left)

    def _make(self) -> None:
        self.check()
        if self._base is not None:
            files.make_folder(self._folder.parent)
        files.make_folder(self._folder)

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        with files.translated(f"cannot look into {self._folder}"):
            return sorted(path for path in self._folder.iterdir() if path.is_file())


def _is_free(path: Path) -> bool:
    """Say whether no living process writes a file."""
    try:
        with path.open("rb") as opened:
            fcntl.flock(opened.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
