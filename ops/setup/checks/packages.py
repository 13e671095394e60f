"""The command that installs something on this machine, with the package manager that it has."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_INSTALL: Final = {
    "brew": "brew install",
    "apt-get": "apt-get install -y",
    "dnf": "dnf install -y",
    "apk": "apk add",
    "pacman": "pacman -S --noconfirm",
}
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "postgres": {"dnf": "postgresql-server", "": "postgresql"},
    "node": {"brew": "node", "": "nodejs npm"},
    "python": {"pacman": "python", "brew": "python3", "": "python3"},
    "venv": {"apt-get": "python3-venv", "pacman": "python", "": "python3"},
    "useradd": {"apt-get": "passwd", "dnf": "shadow-utils", "": "shadow"},
}
_LISTS: Final = Path("/var/lib/apt/lists")


def manager() -> str:
    """Return the package manager of this machine, empty when none is known."""
    preferred = sorted(_INSTALL, key=lambda name: (name == "brew") != (sys.platform == "darwin"))
    return next((name for name in preferred if shutil.which(name)), "")


def install(name: str) -> str:
    """Return the command that installs `name` here, e.g. "postgres" or "git"."""
    chosen = manager()
    names = _NAMES.get(name, {"": name})
    package = names.get(chosen) or names[""]
    if not chosen:
        return f"install {package} with this machine's package manager"
    root = "" if chosen == "brew" or os.geteuid() == 0 or not shutil.which("sudo") else "sudo "
    # A fresh container has no lists of packages yet.
    fresh = chosen == "apt-get" and not any(_LISTS.glob("*_Packages*"))
    first = f"{root}apt-get update && " if fresh else ""
    return f"{first}{root}{_INSTALL[chosen]} {package}"
