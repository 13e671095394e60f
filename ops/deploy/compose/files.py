"""What a release's Compose file mounts from the repository, and where it lies on a host.

The folder of a release has only what git tracks. What is there travels, into a folder that is named after its content:
a new release neither changes files under a running container nor recreates a database whose files are the same. What
is not there is data or a secret of the host and stays in `shared/`, for every release. Paths outside of the project
are the host's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ops.deploy.compose.model import Model
from ops.kernel.errors import ConfigurationError

_KEEPERS: Final = {".gitkeep", ".gitignore", ".keep"}
_READABLE: Final = 0o444
_EXECUTABLE: Final = 0o111


@dataclass(frozen=True)
class Upload:
    """A file that a host needs.

    Args:
        path: Relative to the environment's folder on the host.
        mode: Readable for everybody: containers have users of their own, and the folder above is private.
        source: Where it lies here; None when it is `content`.
        content: What it holds, when it comes from a variable.
    """

    path: PurePosixPath
    mode: int
    source: Path | None = None
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Placed:
    """Where everything lies on a host that the Compose file mentions by a path of the project or by a variable.

    Args:
        paths: Path here: path relative to the environment's folder.
        secrets: Name of a secret that is a variable: the same.
        uploads: What must be there first.
    """

    paths: Mapping[str, PurePosixPath]
    secrets: Mapping[str, PurePosixPath]
    uploads: tuple[Upload, ...]


def place(model: Model, variables: Mapping[str, str]) -> Placed:
    """Find out what travels; reads the release's folder.

    Args:
        model: The user's.
        variables: Those that the Compose file was read with.

    Raises:
        ConfigurationError: A path leaves the project upwards, or a secret's variable is not set.
    """
    paths: dict[str, PurePosixPath] = {}
    uploads: dict[PurePosixPath, Upload] = {}
    for source in sorted(set(_sources(model))):
        inside = _inside(model.folder, Path(source))
        if inside is None:
            continue
        paths[source] = PurePosixPath("shared", inside)
        found = dict(_tracked(Path(source)))
        if found:
            paths[source] = PurePosixPath("files", _hash(found), Path(source).name)
            for name, file in found.items():
                path = paths[source] / name
                uploads[path] = Upload(path, _mode(file), file)
    secrets = {}
    for name, secret in model.section("secrets").items():
        variable = secret.get("environment")
        if variable and name in _used_secrets(model):
            if variable not in variables:
                raise ConfigurationError(
                    f"secret {name} of the Compose file is the variable {variable}, which is not set"
                )
            content = variables[variable].encode()
            secrets[name] = PurePosixPath("files", hashlib.sha256(content).hexdigest()[:16], name)
            uploads[secrets[name]] = Upload(secrets[name], _READABLE, content=content)
    return Placed(paths, secrets, tuple(uploads.values()))


def _used_secrets(model: Model) -> set[str]:
    """Return the secrets that containers get; others are those of builds."""
    return {
        each["source"] for service in model.services.values() for each in service.get("secrets", [])
    }


def _sources(model: Model) -> Iterator[str]:
    for service in model.services.values():
        for volume in service.get("volumes") or []:
            if volume.get("type") == "bind":
                yield unescaped(volume["source"])
    for volume in model.section("volumes").values():
        if device := bound_device(volume or {}):
            yield unescaped(device)
    for section in ("secrets", "configs"):
        yield from (
            unescaped(each["file"]) for each in model.section(section).values() if each.get("file")
        )


def bound_device(volume: Mapping[str, Any]) -> str:
    """Return the folder that a named volume of the local driver is bound to, empty for none."""
    options = volume.get("driver_opts") or {}
    return str(options.get("device", "")) if "bind" in str(options.get("o", "")).split(",") else ""


def unescaped(path: str) -> str:
    """Return a path as it is on disk: Compose prints each `$` twice."""
    return path.replace("$$", "$")


def _inside(folder: Path, path: Path) -> PurePosixPath | None:
    """Return a path relative to the project, None for one of the host itself."""
    if path.is_relative_to(folder):
        return PurePosixPath(path.relative_to(folder))
    # Two up from the application is where releases lie: no host has such a path.
    if path.is_relative_to(folder.parent.parent) and len(folder.parent.parent.parts) > 1:
        raise ConfigurationError(
            f"the Compose file mounts {path.name}, which lies outside of the application's folder",
            hint="move it into the folder, or give an absolute path of the hosts",
        )
    return None


def _tracked(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and file of everything below a path; nothing for a folder that git only keeps."""
    if path.is_file():
        yield "", path
        return
    files = [each for each in sorted(path.rglob("*")) if each.is_file()]
    if {each.name for each in files} - _KEEPERS:
        yield from ((str(each.relative_to(path)), each) for each in files)


def _hash(found: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, file in found.items():
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name}\0{_mode(file):o}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _mode(file: Path) -> int:
    return _READABLE | (_EXECUTABLE if file.stat().st_mode & 0o100 else 0)
