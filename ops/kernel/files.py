"""The one place that writes files.

Every write is atomic (temporary name, fsync, rename), so a killed process leaves the old or the new content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, NotPermitted, OpsError

_scratch: set[Path] = set()


@dataclass(frozen=True)
class Owner:
    """Numeric owner of a file."""

    uid: int
    gid: int


def write(path: Path, data: str | bytes, *, mode: int = 0o600, owner: Owner | None = None) -> bool:
    """Write a file atomically unless it holds `data` already.

    Args:
        path: Destination; its folder must exist.
        data: New content; text is encoded as UTF-8.
        mode: Permission bits of the file.
        owner: New owner, only possible as root.

    Returns:
        Whether anything changed.

    Raises:
        NotPermitted: The system refuses the write.
        OpsError: The disk is full or broken.
    """
    content = data.encode() if isinstance(data, str) else data
    with translated(f"cannot read {path}"):
        if path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return False
    _effect(path, f"write {path}")
    with translated(f"cannot write {path}"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), mode)
                if owner is not None:
                    os.fchown(stream.fileno(), owner.uid, owner.gid)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    return True


def write_new(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, atomically: whatever is there is never overwritten.

    Raises:
        ConfigurationError: There is one.
        NotPermitted: The system refuses the write.
    """
    _effect(path, f"write {path}")
    with translated(f"cannot write {path}"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as opened:
                os.fchmod(opened.fileno(), mode)
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            os.link(name, path)
        except FileExistsError as error:
            raise ConfigurationError(
                f"{path} is there already", hint="name another file"
            ) from error
        finally:
            os.unlink(name)
        settle(path.parent)


def settle(folder: Path) -> None:
    """Wait until the names in a folder are on disk: after a rename that must survive a power failure."""
    with translated(f"cannot write {folder}"):
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: Path, *, mode: int = 0o700, owner: Owner | None = None) -> bool:
    """Create a folder (and its parents, readable by all) with `mode`; say whether it was missing."""
    existed = path.is_dir()
    if existed and path.stat().st_mode & 0o777 == mode and _owned(path, owner):
        return False
    _effect(path, f"create folder {path}")
    with translated(f"cannot create {path}"):
        path.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(path, owner.uid, owner.gid)
        path.chmod(mode)
    return not existed


def make_record(path: Path) -> None:
    """Make an empty file for our own records, 0600 in a 0700 folder that git ignores, unless it is there.

    Allowed in a dry run, which may write its own record (DESIGN.md 7).
    """
    with translated(f"cannot create {path}"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.stat().st_mode & 0o077:
            path.parent.chmod(0o700)
        # Our records are no part of the project: git must not find its working tree changed by them.
        for each, content in ((path.parent / ".gitignore", b"*\n"), (path, b"")):
            if not each.exists():
                handle = os.open(each, os.O_CREAT | os.O_WRONLY, 0o600)
                os.write(handle, content)
                os.close(handle)


def write_record(path: Path, data: str) -> None:
    """Write a record of our own, such as a report, atomically, 0600 in a 0700 folder that git ignores.

    Allowed in a dry run and in a read task: it says what was seen, and changes nothing of the project.
    """
    make_record(path)
    with translated(f"cannot write {path}"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(data)
        os.replace(name, path)


def remove(path: Path) -> bool:
    """Remove a file, a link or a whole folder; say whether it was there."""
    if not path.is_symlink() and not path.exists():
        return False
    _effect(path, f"remove {path}")
    with translated(f"cannot remove {path}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return True


def rename(source: Path, destination: Path) -> None:
    """Move `source` to `destination` on the same file system, replacing a file there."""
    _effect(destination, f"rename {source} to {destination}")
    with translated(f"cannot rename {source}"):
        os.replace(source, destination)


def link(path: Path, target: Path) -> bool:
    """Make `path` a symbolic link to `target`, atomically; say whether anything changed."""
    if path.is_symlink() and Path(os.readlink(path)) == target:
        return False
    _effect(path, f"link {path} to {target}")
    with translated(f"cannot link {path}"):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        os.replace(temporary, path)
    return True


def copy(source: Path, destination: Path) -> None:
    """Copy a file with its times (by its index's time git knows which cached state to mistrust)."""
    _effect(destination, f"copy {source} to {destination}")
    with translated(f"cannot copy {source}"):
        shutil.copy2(source, destination)


def copy_tree(source: Path, destination: Path) -> None:
    """Copy a folder to a new place, keeping links as links."""
    _effect(destination, f"copy {source} to {destination}")
    with translated(f"cannot copy {source}"):
        shutil.copytree(source, destination, symlinks=True)


@contextlib.contextmanager
def stream(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a new file for writing, for output of any size; it is on disk when the block ends, unless it is scratch."""
    _effect(path, f"write {path}")
    with translated(f"cannot write {path}"), path.open("wb") as opened:
        os.fchmod(opened.fileno(), mode)
        yield opened
        opened.flush()
        if not in_scratch(path):
            os.fsync(opened.fileno())


@contextlib.contextmanager
def scratch(prefix: str = "invops-") -> Iterator[Path]:
    """Give a private temporary folder that is gone afterwards; writing below it is allowed in a dry run."""
    with (
        translated("cannot make a temporary folder"),
        # What is still being written into it is not worth hiding the error that ended the block.
        tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name,
    ):
        folder = Path(name)
        _scratch.add(folder)
        try:
            yield folder
        finally:
            _scratch.discard(folder)


@contextlib.contextmanager
def unnamed() -> Iterator[IO[bytes]]:
    """Give a file without a name, for output that nobody else sees; it needs no cleaning up."""
    with translated("cannot make a temporary file"), tempfile.TemporaryFile() as opened:
        yield opened


def in_scratch(path: Path) -> bool:
    """Say whether a place lies in a scratch folder of this process, where a dry run may work as well."""
    return not _scratch.isdisjoint((path, *path.parents))


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the system's refusals inside the block into errors of the tree.

    Raises:
        NotPermitted: Permission denied, or a read-only file system.
        ConfigurationError: The folder does not exist.
        OpsError: No space left, or another failure of the disk.
    """
    try:
        yield
    except PermissionError as error:
        raise NotPermitted(
            what, why=str(error.strerror), hint="check the owner of the folder"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(what, why=f"no such file or folder: {error.filename}") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            hint = "choose a folder on another file system"
            raise NotPermitted(what, why=str(error.strerror), hint=hint) from error
        raise OpsError(
            what, why=error.strerror or str(error), hint="check free space: df -h"
        ) from error


def _effect(path: Path, description: str) -> None:
    """Ask the guard, except for what lies in a scratch folder."""
    if not in_scratch(path):
        guard.effect(description)


def _owned(path: Path, owner: Owner | None) -> bool:
    status = path.stat()
    return owner is None or (status.st_uid, status.st_gid) == (owner.uid, owner.gid)
