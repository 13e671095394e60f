"""The sample's Dockerfiles: pinned bases that can be replaced, locked dependencies, no rights, small contexts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
LOCKED = {
    "backend": ("pip install", "--require-hashes", "examples/shop/backend/requirements.txt"),
    "frontend": ("npm ci", "npm ci", "examples/shop/frontend/package-lock.json"),
}


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return instruction and arguments of each line, continued lines as one, without comments."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (name.upper(), rest.strip())
        for line in whole.splitlines()
        if line.strip()
        for name, _, rest in [line.partition(" ")]
    ]


def name(path: Path) -> str:
    return path.name.partition(".")[0]


def last(path: Path, instruction: str) -> str:
    """Return the arguments of an instruction in the last stage, which is the image."""
    found = instructions(path)
    (begin,) = [place for place, (each, _) in enumerate(found) if each == "FROM"][-1:]
    (arguments,) = [rest for each, rest in found[begin:] if each == instruction]
    return arguments


def test_there_are_some() -> None:
    assert [name(path) for path in FILES] == ["backend", "frontend"]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_base_is_pinned_and_can_be_replaced(path: Path) -> None:
    found = instructions(path)
    given = dict(rest.partition("=")[::2] for each, rest in found if each == "ARG")
    bases = [rest.split(" ")[0] for each, rest in found if each == "FROM"]
    for base in bases:
        argument = re.fullmatch(r"\$\{(\w+_IMAGE)\}", base)
        assert argument, base
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", given[argument[1]]), given


@pytest.mark.parametrize("path", FILES, ids=name)
def test_dependencies_come_from_the_lock_by_their_hashes(path: Path) -> None:
    command, flag, lock = LOCKED[name(path)]
    installs = [rest for each, rest in instructions(path) if each == "RUN" and command in rest]
    assert installs and all(flag in each for each in installs)
    text = (ROOT / lock).read_text(encoding="utf-8")
    if lock.endswith(".json"):
        packages = json.loads(text)["packages"]
        assert all(each.get("integrity") for key, each in packages.items() if key)
    else:
        pins = re.findall(r"^[\w.\[\]-]+==.*", text, re.MULTILINE)
        assert pins and all(each.endswith("\\") for each in pins), "a pin without hash"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_image_has_no_rights_and_says_how_it_is_checked_and_stopped(path: Path) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(path, "USER")), "by number: Kubernetes proves it"
    assert json.loads(last(path, "CMD"))
    assert json.loads(last(path, "HEALTHCHECK").partition("CMD ")[2])
    assert last(path, "STOPSIGNAL").startswith("SIG")
    labels = last(path, "LABEL")
    for key in ("title", "licenses", "revision", "version"):
        assert f"org.opencontainers.image.{key}=" in labels
    assert not [rest for each, rest in instructions(path) if each == "ADD"]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_what_it_needs_is_sent_to_the_build(path: Path) -> None:
    ignored = path.with_name(f"{path.name}.dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert "" not in ignored and not [line for line in ignored if line in ("!.", "!*")]
    sources = [
        source
        for each, rest in instructions(path)
        if each == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for source in sources:
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source
