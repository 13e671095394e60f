"""Docker's plug-in Compose of this machine, for a server whose system has none."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError

_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Plugin:
    """The plug-in of this machine.

    Args:
        path: Where it is.
        version: Its own words.
        sha256: Of the file.
    """

    path: Path
    version: str
    sha256: str


def here(context: Context, system: str, machine: str) -> Plugin:
    """Return the plug-in of this machine.

    Args:
        context: Surroundings.
        system: What the server is, for messages.
        machine: Its kind of processor.

    Raises:
        DependencyError: This machine has none, or none that runs there.
    """
    lacks = f"{system} has no Docker Compose 2, and this machine has none to copy"
    hint = "add Docker's own packages on the server: docs.docker.com/engine/install"
    if (sys.platform, platform.machine()) != ("linux", machine):
        why = f"this is {sys.platform} {platform.machine()}, the server is linux {machine}"
        raise DependencyError(lacks, why=why, hint=hint)
    command = ["docker", "info", "--format", "{{json .ClientInfo.Plugins}}"]
    found = runner.run(context.within(_SECONDS), command, reads=True, check=False)
    try:
        plugins = json.loads(found.stdout.splitlines()[0])
        known = next(each for each in plugins if each["Name"] == "compose")
        path = Path(known["Path"])
    except (ValueError, IndexError, StopIteration, KeyError, TypeError) as error:
        raise DependencyError(lacks, why=found.stderr.strip(), hint=hint) from error
    return Plugin(path, str(known["Version"]), _hash(path))


@cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
