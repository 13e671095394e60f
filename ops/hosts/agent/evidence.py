"""What a failure leaves on the host, kept before anything is undone; the deployer fetches it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, lease, proxy, waiting
from ops.hosts.agent.proxy import Proxy

LINES = 2000
FILE_BYTES = 256 * 1024
"""The end of a longer log is kept."""
ALL_BYTES = 4 * 1024 * 1024
FOLDERS = 10
"""So many runs are kept on a host."""


def keep(arguments: dict[str, Any]) -> dict[str, Any]:
    """Keep the logs, what `docker inspect` says without values of variables, the proxy's counters, health answers.

    Args:
        arguments: `lease`; `project`; `slot` that failed; `run` (name of the folder); `checks`: path of each web
            service of the slot, by its name in the document.

    Returns:
        `folder` on the host; `files`: name and text of each, together at most `ALL_BYTES`.
    """
    lease.guard(arguments)
    above = base.of(arguments) / "evidence"
    folder = above / Path(arguments["run"]).name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = _found(arguments)
    left = ALL_BYTES
    told = {}
    for name, text in found.items():
        base.write(folder / name, text)
        if len(text) <= left:
            told[name] = text
            left -= len(text)
    for old in sorted(above.iterdir(), key=lambda each: each.stat().st_mtime)[:-FOLDERS]:
        shutil.rmtree(old, ignore_errors=True)
    return {"folder": str(folder), "files": told}


def _found(arguments: Mapping[str, Any]) -> dict[str, str]:
    front = proxy.of(dict(arguments))
    mine = [
        each
        for each in containers.project(arguments["project"])
        if each.slot in (arguments["slot"], "")
    ]
    raw = containers.raw([each.id for each in mine])
    found = {
        "inspect.json": _json([_hidden(each) for each in raw]),
        "health.json": _json(_health(front, raw, arguments.get("checks") or {})),
    }
    if front.running():
        found["proxy.json"] = _json([asdict(each) for each in front.servers()])
    # Those of the slot first: they are what failed.
    for each in sorted(mine, key=lambda one: (not one.slot, one.name)):
        found[f"{each.name}.log"] = containers.logs(each.id, LINES, times=True)[-FILE_BYTES:]
    return found


def _hidden(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `docker inspect` says; of variables only the names."""
    names = [f"{each.partition('=')[0]}=(hidden)" for each in raw["Config"].get("Env") or []]
    return {**raw, "Config": {**raw["Config"], "Env": names}}


def _health(
    front: Proxy, raw: list[dict[str, Any]], checks: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the last answers of each container's own check, and what each web service answers now."""
    found: dict[str, Any] = {}
    for each in raw:
        name = each["Name"].lstrip("/")
        found[name] = {"state": each["State"], "restarts": each.get("RestartCount", 0)}
    for service, check in checks.items():
        status, body = waiting.ask(front, service, check["path"])
        text = body[:4096].decode(errors="replace")
        found[service] = {"path": check["path"], "status": status, "answer": text}
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=1)
