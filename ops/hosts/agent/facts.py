"""What this host is and has."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from ops.hosts.agent import base

LIMIT = 10.0
"""Seconds that a program may take to tell its version."""
_INFO = (
    "server {{.ServerVersion}} {{.DockerRootDir}}"
    "{{range .ClientInfo.Plugins}}\n{{.Name}} {{.Version}}{{end}}"
)


def found(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that a deploy depends on; a tool that is missing or does not answer is one of them.

    Returns:
        `python`; `docker` and `compose`, each with `version` and, without one, `why`; `free` and `total` (bytes where
        Docker keeps images), `now` (seconds since the epoch), `uid`, `user`, `claimed` (the folder is there).

    Raises:
        Refused: The folder belongs to another environment.
    """
    base.check_owner(arguments)
    docker, root, compose = _docker()
    disk = shutil.disk_usage(_existing(Path(root or base.of(arguments))))
    return {
        "python": platform.python_version(),
        "docker": docker,
        # Asked by itself only when Docker does not know it, to learn the reason: it takes as long as all the others.
        "compose": compose or _told(["docker", "compose", "version", "--short"]),
        "free": disk.free,
        "total": disk.total,
        "now": time.time(),
        "uid": os.geteuid(),
        "user": _user(),
        "claimed": (base.of(arguments) / "owner.json").exists(),
    }


def _docker() -> tuple[dict[str, str], str, dict[str, str]]:
    """Return Docker's version, the folder of its data, and Compose's version if it is among the plug-ins."""
    told = _told(["docker", "info", "--format", _INFO])
    first, *plugins = told["version"].splitlines() or [""]
    version, _, root = first.partition(" ")[2].partition(" ")
    if first and not version:  # newer ones count what they know without the engine as an answer
        told = _told(["docker", "version", "--format", "{{.Server.Version}}"])
    known = dict(each.partition(" ")[::2] for each in plugins).get("compose", "").lstrip("v")
    return {**told, "version": version}, root, {"version": known, "why": ""} if known else {}


def _told(command: list[str]) -> dict[str, str]:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except FileNotFoundError:
        return {"version": "", "why": f"{command[0]} is not installed"}
    except subprocess.TimeoutExpired:
        return {"version": "", "why": f"{' '.join(command[:3])} did not answer within {LIMIT:g} s"}
    if result.returncode == 0 and result.stdout.strip():
        return {"version": result.stdout.strip(), "why": ""}
    words = (result.stderr or result.stdout).strip().splitlines()
    return {"version": "", "why": words[-1] if words else f"exit code {result.returncode}"}


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.geteuid()}"
