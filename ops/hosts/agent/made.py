"""What the containers were made as by the last deploy: what the document does not say, or what changes without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers
from ops.hosts.agent.containers import Container

_FILE = "containers.json"
# What `docker update` changes on a container that goes on running.
_UPDATED = (
    *(
        "BlkioWeight",
        "CpuShares",
        "CpuPeriod",
        "CpuQuota",
        "CpuRealtimePeriod",
        "CpuRealtimeRuntime",
    ),
    *("CpusetCpus", "CpusetMems", "Memory", "MemoryReservation", "MemorySwap", "NanoCpus"),
    "PidsLimit",
)


def keep(folder: Path, there: Sequence[dict[str, Any]]) -> None:
    """Write down what containers are as invops has just made them.

    Args:
        folder: The environment's.
        there: What `docker inspect` says of the containers.
    """
    found = known(folder)
    for each in there:
        found[each["Name"].lstrip("/")] = {
            "config": (each["Config"]["Labels"] or {}).get(containers.HASH, ""),
            "image": each["Image"],
            "completed": each["State"]["Status"] == "exited",
            "limits": limits(each),
        }
    base.write(folder / _FILE, json.dumps(found, sort_keys=True))


def settle(folder: Path, now: Sequence[Container]) -> None:
    """Write down which containers have run to their end by now, as one-off services do."""
    found = known(folder)
    for each in now:
        if each.name in found:
            found[each.name]["completed"] = each.completed
    base.write(folder / _FILE, json.dumps(found, sort_keys=True))


def is_over(
    document: Mapping[str, Any], container: Container, found: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Say whether a container was to run once, and did; one that somebody stopped may look the same.

    Args:
        document: What the host is to run.
        container: The container.
        found: See `known`.
    """
    if not container.completed:
        return False
    awaited = {
        name
        for each in document["services"].values()
        for name, needed in (each.get("depends_on") or {}).items()
        if needed.get("condition") == "service_completed_successfully"
    }
    kept = found.get(container.name, {})
    return container.service in awaited or bool(kept.get("completed", True))


def known(folder: Path) -> dict[str, Any]:
    """Return what was kept by name of the container: `config` (hash of its definition), `image`, `limits`..."""
    try:
        found: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def limits(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `docker update` may have changed of a container."""
    found = {key: raw["HostConfig"].get(key) for key in _UPDATED}
    policy = raw["HostConfig"].get("RestartPolicy") or {}
    retries = f" {policy['MaximumRetryCount']}" if policy.get("MaximumRetryCount") else ""
    return {**found, "RestartPolicy": f"{policy.get('Name') or 'no'}{retries}"}
