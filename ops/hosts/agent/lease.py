"""The host's lock: one holder at a time, for a time that the host's own clock measures.

The fencing number grows with each new holder, and every changing verb names the one it was given: what a holder
sends after it lost the lease is refused here, beside the effect.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, jobs
from ops.hosts.agent.errors import Refused

_FREE: dict[str, Any] = {"fencing": 0, "run": ""}
_PERSONAL = ("owner", "task", "host", "pid", "started", "processes")
"""What a holder says about itself, returned as it is to whoever asks."""


def acquire(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the lease, and end the jobs that an earlier holder left.

    Args:
        arguments: `run` (this holder), `ttl` (seconds), `holder` (owner, task, host, pid, started, processes);
            `replacing`, the fencing number of a holder that the caller knows to be dead.

    Returns:
        `fencing`: the number of this holder. It takes the lease again after a lost answer and keeps its number.

    Raises:
        Refused: Somebody else holds it.
    """
    folder = base.claim(arguments)
    with _locked(folder):
        now = _read(folder)
        same = now["run"] == arguments["run"]
        if not same and not _is_over(now) and now["fencing"] != arguments.get("replacing"):
            raise Refused("busy", f"locked by {_who(now)}")
        fencing = now["fencing"] if same else now["fencing"] + 1
        since = now["since"] if same else time.time()
        _write(folder, {**arguments["holder"], "since": since, "fencing": fencing}, arguments)
    jobs.end_others(folder, arguments["run"])
    return {"fencing": fencing}


def renew(arguments: dict[str, Any]) -> dict[str, Any]:
    """Hold the lease for another `ttl` seconds from now; one that is over but not taken is held again.

    Raises:
        Refused: Somebody else took it, or it was taken away.
    """
    folder = base.of(arguments)
    with _locked(folder):
        _write(folder, _mine(folder, arguments), arguments)
    return {}


def release(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the lease back; nothing happens when it is not this holder's any more."""
    folder = base.of(arguments)
    with contextlib.suppress(Refused), _locked(folder):
        now = _read(folder)
        # The number may be unknown: the answer that told it was lost.
        if now["run"] == arguments["lease"]["run"]:
            base.write(_file(folder), json.dumps({**_FREE, "fencing": now["fencing"]}))
    return {}


def break_(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the lease away from whoever holds it: the next thing that holder sends is refused."""
    folder = base.claim(arguments)
    with _locked(folder):
        base.write(_file(folder), json.dumps({**_FREE, "fencing": _read(folder)["fencing"] + 1}))
    return {}


def look(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return `holder`: who holds the lease now, with `since` and `fencing`; None when it is free."""
    now = _read(base.of(arguments))
    if _is_over(now):
        return {"holder": None}
    return {"holder": {name: now[name] for name in (*_PERSONAL, "since", "fencing")}}


@contextlib.contextmanager
def nobodys(folder: Path) -> Iterator[bool]:
    """Keep everybody from taking the lease for the length of a block; give whether it is free."""
    with _locked(folder):
        yield _is_over(_read(folder))


def guard(arguments: dict[str, Any]) -> None:
    """Refuse a change of anybody but the lease's holder: the first line of every changing verb.

    Raises:
        Refused: The lease that the arguments name is not the one that counts here.
    """
    _mine(base.of(arguments), arguments)


def _mine(folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    given = arguments.get("lease") or {}
    if not given.get("run"):
        raise Refused("config", "a change needs a lease, and the call names none")
    now = _read(folder)
    if (now["run"], now["fencing"]) != (given["run"], given.get("fencing")):
        why = f"now it is held by {_who(now)}" if now["run"] else ""
        raise Refused("taken", "the lease was taken away from this run", why)
    return now


def _who(now: dict[str, Any]) -> str:
    since = time.strftime("%H:%M:%S", time.localtime(now["since"]))
    return f"{now['owner']} ({now['task']}, process {now['pid']}), since {since}"


def _is_over(now: dict[str, Any]) -> bool:
    boot, moment = _clock()
    return not now["run"] or now["boot"] != boot or now["until"] <= moment


def _clock() -> tuple[str, float]:
    """Return the boot and the seconds since then: nobody can set this clock, and after a reboot no lease holds."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return boot, time.clock_gettime(time.CLOCK_BOOTTIME)


def _write(folder: Path, record: dict[str, Any], arguments: dict[str, Any]) -> None:
    run = arguments.get("run") or arguments["lease"]["run"]
    boot, moment = _clock()
    lasting = {"run": run, "boot": boot, "until": moment + float(arguments["ttl"])}
    base.write(_file(folder), json.dumps({**record, **lasting}))


def _read(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_file(folder).read_text("utf-8"))
    except FileNotFoundError:
        return dict(_FREE)
    return found


def _file(folder: Path) -> Path:
    return folder / "lease.json"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One change of the lease at a time; nobody holds this for longer than a moment."""
    try:
        handle = os.open(folder / "lease.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        raise Refused(
            "taken", "the lease was taken away from this run", f"{folder} is gone"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
