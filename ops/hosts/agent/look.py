"""What there is on a host, changing nothing: containers, what the proxy routes to, the document, the disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.hosts.agent import bake, base, containers, drift, filling, proxy, releases, routes
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.servers import SLOTS


def observe(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an environment on this host.

    Args:
        arguments: `project`.

    Returns:
        `containers`; `serving` (slot that gets requests, `mixed`, or empty); `proxy` (None when it does not answer):
        `structure`, `comes_back` (slot of its file), `retry_after` (0: no maintenance), `servers`; `model`: hash of the
        document, empty for none; `changed`: services and files that were changed by hand and that a deploy puts
        right; `document`: what this host runs, with secrets, None for none; `slots`: what was put into each;
        `releases`: what is kept of each, see `releases.summaries`;
        `began`: which `slot` began to get requests last, and the one `before` it with its `release`; `free` and
        `total` bytes of the disk.

    Raises:
        Refused: The folder, or the Compose project, belongs to somebody else.
    """
    folder = base.of(arguments)
    base.check_owner(arguments)
    there = containers.raw_project(arguments["project"])
    now = containers.made_of(there)
    _refuse_foreign(folder, now)
    front = proxy.of(arguments)
    running = front.running()
    model = folder / "model.json"
    document = base.read(model)
    disk = shutil.disk_usage(folder if folder.exists() else "/")
    return {
        "containers": [asdict(each) for each in now],
        "serving": front.serving() if running else "",
        "proxy": _proxy(front) if running else None,
        "model": hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else "",
        "changed": drift.changed(folder, document, there, front) if document else [],
        "document": document or None,
        "slots": {slot: base.read(folder / "slots" / f"{slot}.json") for slot in SLOTS},
        "began": base.read(folder / "slots" / bake.BEFORE),
        "releases": releases.summaries(folder),
        "free": disk.free,
        "total": disk.total,
    }


def address(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return where a service can be reached from the host itself.

    Args:
        arguments: `project`; `service`.

    Returns:
        `known`: whether the document has such a service; `address` of its container, empty when it does not run.
    """
    document = base.read(base.of(arguments) / "model.json")
    running = [
        each
        for each in containers.project(arguments["project"])
        if each.service == arguments["service"] and each.state == "running" and each.addresses
    ]
    return {
        "known": arguments["service"] in document.get("services", {}),
        "address": running[0].addresses[0] if running else "",
    }


def model(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return `model`, the document that this host runs (it holds secrets), None for none; `files`: `drift.intact`."""
    folder = base.of(arguments)
    return {"model": base.read(folder / "model.json") or None, "files": drift.intact(folder)}


def _refuse_foreign(folder: Path, now: Sequence[containers.Container]) -> None:
    """Refuse a Compose project of the same name whose slots or proxy were made from another folder."""
    ours = [each for each in now if each.slot or each.service == filling.PROXY]
    for each in ours:
        if each.folder and each.folder != str(folder):
            raise Refused(
                "config",
                f"container {each.name} of this name belongs to another environment",
                f"it was made from {each.folder}, this environment has {folder}",
                "give this environment another name, or base_folder its old value, in ops.toml",
            )


def _proxy(front: proxy.Proxy) -> dict[str, Any]:
    return {
        "structure": front.structure(),
        "comes_back": routes.active_in(front.text()),
        "retry_after": front.maintained(),
        "servers": [asdict(each) for each in front.servers()],
    }
