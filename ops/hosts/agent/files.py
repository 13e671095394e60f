"""Files that the deployer sends: their bytes follow the arguments on standard input, one after the other."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, lease
from ops.hosts.agent.errors import Refused


def put(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write files below the environment's folder, each whole or not at all.

    Args:
        arguments: `files`, each with `path` (relative to the folder), `mode`, `size` and `sha256` of its content.

    Raises:
        Refused: A path leads out of the folder, or a content did not arrive whole.
    """
    lease.guard(arguments)
    for each in arguments["files"]:
        path = Path(each["path"])
        if path.is_absolute() or ".." in path.parts:
            raise Refused("config", f"{path} is not a path inside the environment's folder")
    for each in arguments["files"]:
        data = sys.stdin.buffer.read(each["size"])
        if hashlib.sha256(data).hexdigest() != each["sha256"]:
            raise Refused("failed", f"{each['path']} did not arrive whole")
        target = base.of(arguments) / each["path"]
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        base.write(target, data, each["mode"])
    return {}
