"""Commands of the system with a time limit; what they say when they fail is the reason that a person is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.hosts.agent.errors import Refused

QUICK_SECONDS = 30.0
LAST_LINES = 5
SYSTEMD = Path("/run/systemd/system")
"""It is there when systemd runs the system."""


def run(
    command: Sequence[str],
    seconds: float = QUICK_SECONDS,
    *,
    check: bool = True,
    environment: Mapping[str, str] = {},
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        command: Without secrets.
        seconds: Time limit.
        check: Whether an error is one.
        environment: Variables beside those of this process.

    Raises:
        Refused: It is missing, takes too long, or fails; with its last lines.
    """
    shown = " ".join(command[:4])
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        )
    except FileNotFoundError:
        raise Refused("missing", f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Refused("failed", f"no answer within {seconds:g} s: {shown}") from None
    if check and done.returncode != 0:
        raise Refused("failed", f"failed: {shown}", last_lines(done.stderr or done.stdout))
    return done


def answer(*command: str) -> str:
    """Return what a command says, empty when it is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = run(command, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def last_lines(text: str) -> str:
    """Return the last lines of an output that say something."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-LAST_LINES:])


def service(name: str, action: str) -> None:
    """Start, stop or restart a service, by whatever runs the services of this system."""
    command = ["systemctl", action, name] if SYSTEMD.exists() else ["service", name, action]
    run(command, 120.0)
