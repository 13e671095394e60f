"""The folder of an environment on the host, and how files are written there: private, and whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ops.hosts.agent.errors import Refused


def of(arguments: dict[str, Any]) -> Path:
    """Return the environment's folder, `base` of every verb's arguments.

    Raises:
        Refused: It is missing, not absolute, or below a file.
    """
    path = Path(str(arguments.get("base", "")))
    if not path.is_absolute() or ".." in path.parts:
        raise Refused("config", f"base folder {str(path)!r} is not an absolute path")
    above = next(each for each in path.parents if each.exists())
    if not above.is_dir():
        hint = "correct base_folder in ops.toml"
        raise Refused("config", f"cannot make {path}", f"{above} is a file", hint)
    return path


def claim(arguments: dict[str, Any]) -> Path:
    """Make the environment's folder and say whose it is; return it.

    Raises:
        Refused: It belongs to another environment, or this user may not make it.
    """
    path = of(arguments)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        check_owner(arguments)
        found, owner = _owner(path), arguments["owner"]
        if found != owner and not (found and found.get("repository")):
            write(path / "owner.json", json.dumps(owner))
    except PermissionError as error:
        why = f"{error.strerror}: {error.filename} (as uid {os.geteuid()})"
        raise Refused(
            "permission", f"cannot make {path}", why, "prepare the host: inv setup.server"
        ) from error
    except OSError as error:  # read-only, full, below a file
        why = f"{error.strerror}: {error.filename or path}"
        hint = "correct base_folder in ops.toml"
        raise Refused("config", f"cannot make {path}", why, hint) from error
    return path


def check_owner(arguments: dict[str, Any]) -> None:
    """Refuse a folder that another application or environment has, also one of the same name in another repository.

    A clone that does not know its repository (a shallow one) is trusted in that.

    Raises:
        Refused: It is somebody else's.
    """
    path, owner = of(arguments), arguments["owner"]
    found = _owner(path)
    if any(found.get(key) and owner.get(key) and found[key] != owner[key] for key in found):
        whose = ", ".join(f"{key} {value}" for key, value in sorted(found.items()) if value)
        raise Refused(
            "config",
            f"{path} belongs to somebody else",
            f"it is that of {whose}",
            "give this environment another name, or another base_folder, in ops.toml",
        )


def _owner(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((path / "owner.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def record(path: Path, data: str, mode: int = 0o600) -> None:
    """Write a file so that a change of it by hand shows: its hash is known before it is there.

    The hash of before stays known beside it, so a kill in between leaves a file that is known as well.
    """
    wanted, there = data.encode(), path.read_bytes() if path.exists() else None
    if there == wanted and is_known(path):
        return
    hashes = [hashlib.sha256(each).hexdigest() for each in (wanted, there) if each is not None]
    write(_known(path), json.dumps(hashes))
    write(path, data, mode)


def is_known(path: Path) -> bool:
    """Say whether a file is as `record` left it; one that it never wrote is."""
    try:
        known = json.loads(_known(path).read_text("utf-8"))
        return hashlib.sha256(path.read_bytes()).hexdigest() in known
    except FileNotFoundError:
        return not _known(path).exists()


def _known(path: Path) -> Path:
    return path.with_name(f"{path.name}.known")


def read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, an empty one when there is no file.

    Raises:
        Refused: It is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Refused("failed", f"{path} is damaged", str(error)) from error
    return found


def write(
    path: Path, data: str | bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write a file atomically, on disk when this returns; its folder must be there.

    Args:
        path: Where.
        data: Its whole content.
        mode: Its permissions.
        owner: User and group that it is of from its first moment; None for us.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
