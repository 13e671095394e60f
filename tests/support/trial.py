"""Verbs for tests: work that can be watched, held up, cut and counted. Part of the agent that tests send."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ops.hosts.agent import lease
from ops.hosts.agent.errors import Refused


def echo(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments."""
    return arguments


def change(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write a file, as the holder of the lease only."""
    lease.guard(arguments)
    Path(arguments["file"]).write_text(str(arguments["lease"]["fencing"]))
    return {}


def refuse(arguments: dict[str, Any]) -> dict[str, Any]:
    """Refuse with what the arguments say."""
    raise Refused(arguments["kind"], "it is refused", "because of a test", "do something else")


def crash(arguments: dict[str, Any]) -> dict[str, Any]:
    """Meet what nobody expected."""
    raise ValueError(arguments["words"])


def noisy(arguments: dict[str, Any]) -> dict[str, Any]:
    """Print on both outputs, also by a command."""
    print("to standard output")
    subprocess.run(["sh", "-c", "echo by a command; echo to standard error >&2"], check=True)
    return {"size": len("x" * arguments.get("size", 0)), "text": "x" * arguments.get("size", 0)}


def killed(arguments: dict[str, Any]) -> dict[str, Any]:
    """End as if the system had no memory left."""
    print("last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def work(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say "begun", wait for the file "go", say "done"; the file "count" gets a line for each time this ran."""
    folder = Path(arguments["folder"])
    with (folder / "count").open("a") as count:
        count.write(f"{os.getpid()}\n")
    print("begun", file=sys.stderr, flush=True)
    child = subprocess.Popen(["sleep", "300"]) if arguments.get("child") else None
    if child:
        (folder / "child").write_text(str(child.pid))
    while folder.exists() and not (folder / "go").exists():  # a test that is over has removed it
        time.sleep(0.02)
    print("done", file=sys.stderr, flush=True)
    (folder / "finished").touch()
    return {"worked": True}
