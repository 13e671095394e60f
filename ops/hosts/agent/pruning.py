"""What nothing on this host needs any more: old releases, then their images, files and the evidence of old failures."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, lease, releases
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.servers import SLOTS

EVIDENCE = 10
"""How many failed runs keep their evidence."""


def prune(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove releases beyond those that are kept, and what no kept release and no slot uses.

    Args:
        arguments: `lease`; `project`; `keep`: releases that stay in any case; `count`: how many good ones stay.

    Returns:
        `removed`: what it was, in words.
    """
    lease.guard(arguments)
    folder = base.of(arguments)
    kept = releases.every(folder)
    slots = {base.read(folder / "slots" / f"{slot}.json").get("release", "") for slot in SLOTS}
    stay = staying(kept, {*arguments["keep"], *slots}, int(arguments["count"]))
    removed = []
    for name in sorted(kept.keys() - stay):
        for left in (folder / "releases").glob(f"{name}.*"):
            left.unlink()
        removed.append(f"release {name}")
    removed += _images(arguments["project"], {name.replace("+", "-") for name in stay})
    removed += _files(folder)
    by_age = sorted((folder / "evidence").glob("*"), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-EVIDENCE]:
        shutil.rmtree(path, ignore_errors=True)
        removed.append(f"evidence of {path.name}")
    return {"removed": removed}


def staying(kept: Mapping[str, dict[str, Any]], keep: Collection[str], count: int) -> set[str]:
    """Return the releases that stay: the newest good ones, those to keep, and those that say others cannot serve.

    A release whose migrations broke older ones stays as long as one of these.

    Args:
        kept: What the host keeps, by release.
        keep: These in any case.
        count: How many good ones.
    """
    records = {name: each["release"] for name, each in kept.items()}
    good = [name for name, each in records.items() if each["good"]]
    good.sort(key=lambda name: int(records[name]["sequence"]), reverse=True)
    stay = {*good[:count], *(name for name in keep if name in records)}
    oldest = min((records[name]["sequence"] for name in stay), default=0)
    broke = [
        name for name, each in records.items() if each["breaks_older"] and each["sequence"] > oldest
    ]
    return {*stay, *broke}


def _images(project: str, stay: Collection[str]) -> list[str]:
    """Remove our own names of images; an image goes with its last name, so one that others use stays."""
    pattern = f"reference=invops/{project}/*"
    form = ["image", "ls", "--filter", pattern, "--format", "{{.Repository}}:{{.Tag}}"]
    removed = []
    for name in containers.run(form, containers.QUICK_SECONDS).split():
        if name.rpartition(":")[2] in stay:
            continue
        try:
            containers.run(["rmi", "--no-prune", name], containers.QUICK_SECONDS)
            removed.append(f"image {name}")
        except Refused:
            continue  # a container that somebody made by hand still uses it
    return removed


def _files(folder: Path) -> list[str]:
    """Remove the folders of files that neither a release nor what runs mounts."""
    mentioned = [*(folder / "releases").glob("*"), folder / "model.json"]
    text = "\n".join(path.read_text("utf-8") for path in mentioned if path.exists())
    removed = []
    for path in sorted((folder / "files").glob("*")):
        if f"files/{path.name}" not in text:
            shutil.rmtree(path, ignore_errors=True)
            removed.append(f"files {path.name}")
    return removed
