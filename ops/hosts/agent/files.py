"""Files that the deployer sends: the bytes follow the arguments on standard input."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, lease
from ops.hosts.agent.errors import Refused


def put(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write what follows on standard input to a file below the environment's folder, whole or not at all.

    Args:
        arguments: `path` (relative to the folder), `mode`, `sha256` of the content.
    """
    lease.guard(arguments)
    path = Path(arguments["path"])
    if path.is_absolute() or ".." in path.parts:
        raise Refused("config", f"{path} is not a path inside the environment's folder")
    data = sys.stdin.buffer.read()
    if hashlib.sha256(data).hexdigest() != arguments["sha256"]:
        raise Refused("failed", f"{path} did not arrive whole")
    target = base.of(arguments) / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    base.write(target, data, arguments["mode"])
    return {}
