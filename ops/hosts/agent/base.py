"""The folder of an environment on the host, and how files are written there: private, and whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ops.hosts.agent.errors import Refused


def of(arguments: dict[str, Any]) -> Path:
    """Return the environment's folder, `base` of every verb's arguments.

    Raises:
        Refused: It is missing or not absolute.
    """
    path = Path(str(arguments.get("base", "")))
    if not path.is_absolute() or ".." in path.parts:
        raise Refused("config", f"base folder {str(path)!r} is not an absolute path")
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
        owner = path / "owner.json"
        if not owner.exists():
            write(owner, json.dumps(arguments["owner"]))
    except PermissionError as error:
        why = f"{error.strerror}: {error.filename} (as uid {os.geteuid()})"
        raise Refused(
            "permission", f"cannot make {path}", why, "prepare the host: inv setup.server"
        ) from error
    return path


def check_owner(arguments: dict[str, Any]) -> None:
    """Refuse a folder that another application or environment has.

    Raises:
        Refused: It is somebody else's.
    """
    path = of(arguments)
    try:
        found = json.loads((path / "owner.json").read_text("utf-8"))
    except FileNotFoundError:
        return
    if found != arguments["owner"]:
        whose = ", ".join(f"{key} {value}" for key, value in sorted(found.items()))
        raise Refused(
            "config",
            f"{path} belongs to somebody else",
            f"it is that of {whose}",
            "give this environment another base_folder in ops.toml",
        )


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


def write(path: Path, data: str | bytes, mode: int = 0o600) -> None:
    """Write a file atomically, on disk when this returns; its folder must be there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fchmod(file.fileno(), mode)
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
