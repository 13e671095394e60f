"""The end of a slot that was kept warm: its containers stop when its time is over, unless it was needed again.

The job outlives the run that started it and every later one, and takes no lease: it looks whether its slot is still
the retired one at a moment when nobody has the lease, and stops it while nobody can take it. A host that is restarted
forgets the job: the slot then runs until the next deploy.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, jobs, lease, proxy
from ops.hosts.agent.proxy import Proxy

POLL_SECONDS = 5.0
STOP_SECONDS = 120.0
PATIENCE_SECONDS = 24 * 3600.0
"""How long the end may wait for those who have the lease then."""


def begin(arguments: dict[str, Any]) -> None:
    """Start `end` as a job of nobody's run, so that the next holder of the lease does not end it."""
    inner = {name: arguments[name] for name in ("base", "owner", "project", "slot", "seconds")}
    job = {"id": f"warm.end-{uuid.uuid4().hex[:12]}", "verb": "warm.end", "arguments": inner}
    limit = float(arguments["seconds"]) + PATIENCE_SECONDS
    place = {name: arguments[name] for name in ("base", "owner")}
    jobs.start({**place, **job, "limit": limit})


def end(arguments: dict[str, Any]) -> dict[str, Any]:
    """Stop the containers of a slot after a time.

    Args:
        arguments: `project`; `slot`; `seconds` that it stays warm.

    Returns:
        `stopped`: whether it did; not when the slot serves, was filled or retired again, or is gone.
    """
    folder, slot = base.of(arguments), arguments["slot"]
    file = folder / "slots" / f"{slot}.warm.json"
    name = uuid.uuid4().hex
    base.write(file, json.dumps({"job": name}))
    until = time.monotonic() + float(arguments["seconds"])
    while _is(file, name):
        left = until - time.monotonic()
        if left > 0:
            time.sleep(min(POLL_SECONDS, left))
            continue
        with lease.nobodys(folder) as free:
            if free and (front := proxy.of(arguments)).running():
                return {"stopped": _stopped(front, arguments["project"], slot)}
        time.sleep(POLL_SECONDS)
    return {"stopped": False}


def _is(file: Path, name: str) -> bool:
    """Say whether this job is the last one for its slot, and the environment is there."""
    try:
        return bool(json.loads(file.read_text("utf-8"))["job"] == name)
    except FileNotFoundError:
        return False


def _stopped(front: Proxy, project: str, slot: str) -> bool:
    """Stop a slot that was retired and does not serve; any other stays."""
    if {each.told for each in front.servers(slot)} != {"maint"}:
        return False
    mine = [each.id for each in containers.project(project) if each.slot == slot]
    containers.stop(mine, STOP_SECONDS)
    return bool(mine)
