"""Where Python code is imported from, and the service folder and module that come of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from ops.setup.init.repository import Repository


@dataclass(frozen=True)
class Place:
    """How a module is reached.

    Args:
        directory: Working folder of the service.
        module: Dotted name.
        package: Folder to install so that it can be imported, None when the working folder is enough.
    """

    directory: PurePosixPath
    module: str
    package: PurePosixPath | None = None


def of(repository: Repository, path: PurePosixPath) -> Place:
    """Return how the module of a file is reached."""
    root = _import_root(repository, path)
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] in ("__init__", "__main__"):
        parts = parts[:-1]
    above = root.parent
    built = any(
        repository.has(above / name) for name in ("pyproject.toml", "setup.py", "setup.cfg")
    )
    if root.name in ("src", "lib") and built:
        return Place(above, ".".join(parts), above)
    return Place(root, ".".join(parts))


def find(repository: Repository, folder: PurePosixPath, module: str) -> Place | None:
    """Return how a module named in a command is reached: from `folder` if it is there, else from where it is."""
    inner = PurePosixPath(*module.split("."))
    tails = (inner.with_suffix(".py"), inner / "__init__.py", inner / "__main__.py")
    found = [each for each in repository.files if any(_ends(each, tail) for tail in tails)]
    found.sort(key=lambda each: (folder not in each.parents, len(each.parts)))
    return of(repository, found[0]) if found else None


def _ends(path: PurePosixPath, tail: PurePosixPath) -> bool:
    return path.parts[-len(tail.parts) :] == tail.parts


def _import_root(repository: Repository, path: PurePosixPath) -> PurePosixPath:
    folder = path.parent
    while folder.parts and repository.has(folder / "__init__.py"):
        folder = folder.parent
    name = folder.name
    if folder != path.parent or name in ("", "src", "lib"):
        return folder
    # A folder without __init__.py is a package as well when its files import each other by its name.
    own = rf"^\s*(?:from|import)\s+{re.escape(name)}\."
    return folder.parent if re.search(own, repository.text(path), re.MULTILINE) else folder
