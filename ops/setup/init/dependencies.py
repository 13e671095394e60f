"""Python dependencies: which file pip installs from, and which local package the release needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from ops.setup.init.draft import Draft, Section
from ops.setup.init.repository import Repository

_NOT_THESE: Final = re.compile(r"dev|test|lint|doc|ci|local|type", re.IGNORECASE)
_LINE: Final = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*([\w.]+))?", re.MULTILINE
)
_LOCKS: Final = {
    "uv.lock": "uv export --frozen --no-dev --no-emit-project -o requirements.txt",
    "poetry.lock": "poetry export -o requirements.txt",
    "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
    "pdm.lock": "pdm export --prod -o requirements.txt",
    "pyproject.toml": "uv pip compile pyproject.toml --generate-hashes -o requirements.txt",
}


@dataclass
class Dependencies:
    """What the application's Python side needs.

    Args:
        file: The file for `pip install -r`, None when there is none.
        names: Packages by their normalized names, with the pinned version or "".
    """

    file: PurePosixPath | None = None
    names: dict[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Say whether one of the packages is needed."""
        return any(name in self.names for name in names)

    def version(self, name: str) -> tuple[int, ...]:
        """Return the pinned version, empty when it is not known."""
        return tuple(int(part) for part in re.findall(r"\d+", self.names.get(name, ""))[:3])


def look(repository: Repository, near: PurePosixPath | None) -> Dependencies:
    """Find the dependencies.

    Args:
        repository: Where to look.
        near: Folder of the application's code, None when there is none.
    """
    found = Dependencies()
    candidates = [
        each
        for each in repository.named("*requirements*.txt", "*.txt")
        if ("requirements" in each.name or each.parent.name == "requirements")
        and not _NOT_THESE.search(each.stem.replace("requirements", ""))
    ]
    texts = {each: repository.text(each) for each in candidates}
    candidates.sort(key=lambda each: _rank(each, texts[each], near))
    if candidates:
        found.file = candidates[0]
        found.names = _names(texts[candidates[0]])
    for path in repository.named("pyproject.toml"):
        found.names = {**_declared(repository.toml(path)), **found.names}
    for path in repository.named("Pipfile"):
        packages = repository.toml(path).get("packages")
        found.names = {**_keys(packages), **found.names}
    return found


def section(
    draft: Draft, repository: Repository, found: Dependencies, package: PurePosixPath | None
) -> None:
    """Add [python], and say what is left to do for it.

    Args:
        draft: The proposal.
        repository: Where to look.
        found: The dependencies.
        package: Folder of the local package that has to be installed, None for none.
    """
    made = Section("python")
    if found.file is None:
        lock = next((each for name in _LOCKS for each in repository.named(name)), None)
        if lock is None:
            return
        made.put("requirements", str(lock.parent / "requirements.txt"))
        made.off = f"pip needs a requirements file, and there is only {lock}"
        step = f"cd {lock.parent} && " if lock.parent.parts else ""
        draft.find(f"{lock.name}, no requirements file", lock, "[python], once it is exported")
        draft.decide(
            f"export the lock file for pip, then uncomment [python]: {step}{_LOCKS[lock.name]}"
        )
    else:
        text = repository.text(found.file)
        made.put("requirements", str(found.file))
        hashed = "--hash=" in text
        draft.find(
            "requirements with hashes" if hashed else "requirements",
            found.file,
            "[python] requirements",
        )
        if not hashed:
            draft.decide(
                f"{found.file} has no hashes, so two deploys may install different packages: "
                f"uv pip compile --generate-hashes makes a lock file"
            )
    if package is not None:
        made.put("packages", [str(package)], "installed into each release")
        draft.find("local package (src layout)", package / "pyproject.toml", "[python] packages")
    draft.sections.append(made)


def normal(name: str) -> str:
    """Return a package's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _rank(
    path: PurePosixPath, text: str, near: PurePosixPath | None
) -> tuple[int, bool, bool, int, str]:
    """Order candidates: near the code, with hashes, with pins."""
    folder = path.parent.parent if path.parent.name == "requirements" else path.parent
    distance = 0
    if near is not None:
        around = [near, *near.parents]
        distance = around.index(folder) if folder in around else 99
    return distance, "--hash=" not in text, "==" not in text, len(path.parts), str(path)


def _names(text: str) -> dict[str, str]:
    return {normal(found[1]): found[2] or "" for found in _LINE.finditer(text)}


def _declared(data: dict[str, Any]) -> dict[str, str]:
    """Return the dependencies of a pyproject.toml."""
    project = data.get("project")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    found = _names("\n".join(str(each) for each in listed)) if isinstance(listed, list) else {}
    tool = data.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    return {**found, **_keys(poetry.get("dependencies") if isinstance(poetry, dict) else None)}


def _keys(table: object) -> dict[str, str]:
    return {normal(str(name)): "" for name in table} if isinstance(table, dict) else {}
