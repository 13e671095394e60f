"""Watching a slot that gets requests: is it worse than the slot before it, or does one of its containers break.

What is compared is what the proxy counts. It counts anew each time a slot begins to get requests, so that its numbers
are those of this slot's turn; what it had counted of the other slot is written down before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, lease, proxy, waiting
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.proxy import Proxy
from ops.hosts.agent.servers import SLOTS, Server
from ops.hosts.agent.tally import REQUESTS, Counts, Limits, Tally, added, counted, failures, worse

BEFORE = "before.json"
"""File in `slots/`: what was counted of the slot that served before another one began to get requests."""
POLL_SECONDS = 0.5
TELL_SECONDS = 5.0


def begin(front: Proxy, folder: Path, slot: str, mine: Sequence[Container]) -> None:
    """Count anew, because a slot is about to get requests; nothing happens when it gets some already.

    Args:
        front: The proxy.
        folder: Of the environment.
        slot: The slot.
        mine: Its containers, as they are before the first request.
    """
    if all(each.told == "ready" for each in front.servers(slot)):
        return
    other = SLOTS[1 - SLOTS.index(slot)]
    counts = {name: asdict(each) for name, each in counted(front.servers(other)).items()}
    release = _read(folder / "slots" / f"{other}.json").get("release", "")
    restarts = {each.id: each.restarts for each in mine}
    record = {"slot": slot, "before": other, "release": release, "counts": counts}
    record["restarts"] = restarts
    base.write(folder / "slots" / BEFORE, json.dumps(record))
    front.count_anew()


def watch(arguments: dict[str, Any]) -> dict[str, Any]:
    """Watch a slot since it began to get requests; changes nothing.

    Args:
        arguments: `lease`; `project`; `slot`; `seconds`; `errors` and `latency` (see `tally.Limits`).

    Returns:
        `worse`: why it is worse, empty when it is not; then `why`, the last lines of the container that broke;
        `numbers` for a person.

    Raises:
        Refused: The proxy does not answer at the end.
    """
    lease.guard(arguments)
    slot, front, began = arguments["slot"], proxy.of(arguments), time.monotonic()
    limits = Limits(float(arguments["errors"]), float(arguments["latency"]))
    mine = [each for each in containers.project(arguments["project"]) if each.slot == slot]
    record = _read(base.of(arguments) / "slots" / BEFORE)
    record = record if record.get("slot") == slot else {}
    before = {service: Counts(**each) for service, each in record.get("counts", {}).items()}
    restarts = record.get("restarts", {})
    new, old = Tally(), Tally()
    fresh, usual = new.take({}), before
    until, told = began + float(arguments["seconds"]), began
    while True:
        over = time.monotonic() >= until
        servers = _servers(front, must=over)
        there = [each for each in servers if each.slot == slot]
        if servers:  # a proxy that starts anew says nothing for a moment
            fresh = new.take(counted(there))
            usual = added(before, old.take(counted(each for each in servers if each.slot != slot)))
        numbers = failures(_all(fresh), _all(usual))
        if _all(fresh).requests < REQUESTS:
            numbers += ", too few to say much"
        what, why = _broken(mine, restarts, there)
        what = what or worse(fresh, usual, limits)
        if what or over:
            return {"worse": what, "why": why, "numbers": numbers}
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            print(f"{until - told:.0f} s left: {numbers}")
        time.sleep(max(0.0, min(POLL_SECONDS, until - time.monotonic())))


def _servers(front: Proxy, *, must: bool) -> list[Server]:
    """Return what the proxy says, nothing while it starts anew."""
    try:
        return front.servers()
    except Refused:
        if must:
            raise
        return []


def _broken(
    mine: Sequence[Container], restarts: Mapping[str, int], servers: Sequence[Server]
) -> tuple[str, str]:
    """Say what is broken, with its last words; empty for nothing."""
    now = {each.id: each for each in containers.inspected([each.id for each in mine])}
    for then in mine:
        each = now.get(then.id)
        if each is None:
            return f"{then.service} is gone: somebody removed its container", ""
        if each.state != "running" or each.restarts > restarts.get(each.id, then.restarts):
            code = f" with exit code {each.exit_code}" if each.state != "running" else ""
            return f"{each.service} crashed{code}", waiting.last_words(each)
        if each.health == "unhealthy":
            return f"{each.service} says that it is unhealthy", waiting.last_words(each)
    for server in servers:
        if server.status.startswith("DOWN"):
            name = f"{server.service}-{server.slot}"
            words = [waiting.last_words(each) for each in now.values() if each.service == name]
            return f"the proxy finds {server.name} {server.status} {server.check}", "\n".join(words)
    return "", ""


def _all(counts: Mapping[str, Counts]) -> Counts:
    return sum(counts.values(), Counts())


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found
