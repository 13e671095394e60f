"""Docker's daemon lets containers run on while it is away: `live-restore` in its settings.

Without it a daemon that was killed ends all containers when it starts again, as if somebody had stopped them by hand:
`restart: unless-stopped` does not bring them back. Source: moby, daemon/daemon.go `restore` (calls `shutdownContainer`
without live-restore) and daemon/kill.go (`HasBeenManuallyStopped`); docs.docker.com/engine/daemon/live-restore.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, commands
from ops.hosts.agent.errors import Refused

SETTINGS = Path("/etc/docker/daemon.json")
PID = Path("/run/docker.pid")
KEY = "live-restore"
TAKE_SECONDS = 10.0
"""Reading its settings again takes a daemon milliseconds."""
_FOR_ALL = 0o644


def differs(wanted: dict[str, Any]) -> str:
    """Say whether containers end with the daemon, or will after its next start.

    Raises:
        Refused: Its settings are no JSON.
    """
    if left_out():
        return ""
    text = _read()
    there, state = _parsed(text).get(KEY), _state()
    if there is not True:
        return "" if _option() else "off" if text is not None else "off, there is no such file"
    return "" if state is None or state[1] else "the daemon has not taken it"


def left_out() -> str:
    """Return why this server is to have no live-restore, empty when it may."""
    state, option = _state(), _option()
    if state is not None and state[0] != "inactive":
        return "it is a node of a swarm, and Docker's live-restore does not work with swarms"
    if option and state is not None and not state[1]:
        return f"its daemon is started with {option}"
    return ""


def write(wanted: dict[str, Any]) -> None:
    """Add it to the settings, with all that is there, and have the daemon take it; containers run on meanwhile.

    Raises:
        Refused: The daemon does not take it; its settings are those of before then.
    """
    before, path = _read(), SETTINGS.resolve()  # configuration management likes links
    settings = {**_parsed(before), KEY: True}
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    mode = _FOR_ALL if before is None else stat.S_IMODE(path.stat().st_mode)
    base.write(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n", mode)
    if _taken():
        return
    if before is None:
        path.unlink()
    else:
        base.write(path, before, mode)
    raise Refused(
        "failed",
        f"Docker's daemon does not take {KEY} from {SETTINGS}, which is as before",
        "it has another file of settings, or refuses something in this one",
        f'look at its log (journalctl -u docker -n 20), write "{KEY}": true where it reads its settings, reload it,'
        " and run this again",
    )


def _taken() -> bool:
    """Let the daemon read its settings, and say whether it has them; one that does not run reads them at its start."""
    end, told = time.monotonic() + TAKE_SECONDS, False
    while time.monotonic() < end:
        state, daemon = _state(), _daemon()
        if state[1] if state is not None else not daemon:
            return True
        if state is not None and not told:  # before it answers, SIGHUP would end it
            if not daemon:
                return False
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(daemon, signal.SIGHUP)
            told = True
        time.sleep(0.2)
    return False


def _read() -> bytes | None:
    try:
        return SETTINGS.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused("config", f"cannot read {SETTINGS}", error.strerror or str(error)) from error


def _parsed(text: bytes | None) -> dict[str, Any]:
    """Return the settings; an empty file has none, as the daemon sees it."""
    hint = f"correct it, then run this again: python3 -m json.tool {SETTINGS}"
    try:
        found = json.loads((text or b"").decode("utf-8-sig").strip() or "{}")
    except ValueError as error:
        raise Refused("config", f"{SETTINGS} is no JSON", str(error), hint) from error
    if not isinstance(found, dict):
        raise Refused("config", f"{SETTINGS} is no JSON object", hint=hint)
    return found


def _state() -> tuple[str, bool] | None:
    """Return the daemon's state in a swarm and whether it has live-restore, None when it does not answer."""
    form = "{{.Swarm.LocalNodeState}} {{.LiveRestoreEnabled}}"
    words = commands.answer("docker", "info", "--format", form).split()
    return (words[0], words[1] == "true") if len(words) == 2 else None


def _option() -> str:
    """Return how the daemon's command line sets it, empty when it does not: both is an error at its start."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{_daemon()}/cmdline").read_bytes().decode().split("\0")
        return next((each for each in words if each.partition("=")[0] == f"--{KEY}"), "")
    return ""


def _daemon() -> int:
    """Return the daemon's process, 0 for none: a number left by one that was killed may be somebody else's."""
    with contextlib.suppress(OSError, ValueError):
        found = int(PID.read_text("utf-8"))
        if Path(f"/proc/{found}/comm").read_text("utf-8").strip() == "dockerd":
            return found
    return 0
