"""What the containers were made as by the last deploy: what the document does not say, or what changes without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers

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
    *("PidsLimit", "RestartPolicy"),
)


def keep(folder: Path, ids: Sequence[str]) -> None:
    """Write down what containers are as invops has just made them.

    Args:
        folder: The environment's.
        ids: Of the containers.
    """
    found = known(folder)
    for each in containers.raw(ids):
        found[each["Name"].lstrip("/")] = {
            "config": (each["Config"]["Labels"] or {}).get(containers.HASH, ""),
            "image": each["Image"],
            "completed": each["State"]["Status"] == "exited",
            "limits": limits(each),
        }
    base.write(folder / _FILE, json.dumps(found, sort_keys=True))


def known(folder: Path) -> dict[str, Any]:
    """Return what was kept by name of the container: `config` (hash of its definition), `image`, `limits`..."""
    try:
        found: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def limits(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `docker update` may have changed of a container."""
    return {key: raw["HostConfig"].get(key) for key in _UPDATED}
