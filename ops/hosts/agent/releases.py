"""The releases that a host keeps, each in `releases/<id>.json`: what it takes to run one again, and its record.

    release     the record: commit, who, when, whether it served well, its migrations
    images      id of the image of each service on this host; `references`: where it was fetched from, by digest
    wanted      Compose model, files and variables, with secrets: what the deployer derives the slots from
    digest      hash of `wanted`

A deploy that takes a release anew leaves the file of before beside it until it has ended well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, lease
from ops.hosts.agent.errors import Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def every(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept of each release, by id."""
    found = {}
    for path in (folder / "releases").glob("*.json"):
        found[path.stem] = base.read(path)
    return found


def summaries(folder: Path) -> dict[str, Any]:
    """Return each release without its secrets, and which of its images are gone: `lacks`, names of services."""
    kept = every(folder)
    there = _existing({id for each in kept.values() for id in each["images"].values()})
    return {
        name: {
            **{key: each[key] for key in ("release", "images", "references", "digest")},
            "lacks": sorted(key for key, id in each["images"].items() if id not in there),
        }
        for name, each in kept.items()
    }


def read(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what is needed to fill a slot; it holds secrets.

    Args:
        arguments: `release`.

    Returns:
        `kept`: all of the release's file, None when this host has none; `model`: the document that the host runs.
    """
    kept = base.read(_file(arguments)) or None
    return {"kept": kept, "model": base.read(base.of(arguments) / "model.json") or None}


def keep(arguments: dict[str, Any]) -> None:
    """Write the file of a release that is about to run; one that served well before stays one that did.

    Args:
        arguments: `lease`; `release`; `kept`: all of the file.
    """
    lease.guard(arguments)
    path, kept = _file(arguments), arguments["kept"]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if there := base.read(path):
        kept["release"]["good"] = there["release"]["good"]
        kept["references"] = kept["references"] or _still_right(there, kept)
        if not _before(path).exists():
            base.write(_before(path), json.dumps(there))
    base.write(path, json.dumps(kept))


def forget(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take `keep` back: the file as it was before, or none.

    Args:
        arguments: `lease`; `release`.
    """
    lease.guard(arguments)
    path = _file(arguments)
    there = base.read(path)
    if _before(path).exists():
        _before(path).replace(path)
    elif there and not there["release"]["good"]:
        path.unlink()
    return {}


def mark(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write facts into a release's record.

    Args:
        arguments: `lease`; `release`; `facts`; with `good` among them the file of before is not needed any more.

    Raises:
        Refused: This host has no such release.
    """
    lease.guard(arguments)
    path = _file(arguments)
    there = base.read(path)
    if not there:
        raise Refused("failed", f"release {arguments['release']} is not kept here")
    there["release"] |= arguments["facts"]
    base.write(path, json.dumps(there))
    if there["release"]["good"]:
        _before(path).unlink(missing_ok=True)
    return {}


def _still_right(there: dict[str, Any], kept: dict[str, Any]) -> dict[str, str]:
    """Return where images were fetched from that are the same ones today."""
    same = [name for name, id in kept["images"].items() if there["images"].get(name) == id]
    return {name: there["references"][name] for name in same if name in there["references"]}


def _existing(ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    command = ["image", "inspect", "--format", "{{.Id}}", *sorted(ids)]
    return set(containers.run(command, containers.QUICK_SECONDS, check=False).split())


def _before(path: Path) -> Path:
    return path.with_suffix(".before")


def _file(arguments: dict[str, Any]) -> Path:
    name = str(arguments["release"])
    if not _NAME.fullmatch(name):
        raise Refused("config", f"{name!r} is no id of a release")
    return base.of(arguments) / "releases" / f"{name}.json"
