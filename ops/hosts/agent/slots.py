"""The slots of an environment on the host: fill the idle one, send traffic to it, retire the other.

Each verb looks first and may be asked again after it was killed at any point. What serves is what the proxy says; the
file that it would come back with is rewritten before it is told, so that a restart in between brings the same slot.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ops.hosts.agent import (
    bake,
    base,
    containers,
    filling,
    lease,
    made,
    proxy,
    releases,
    routes,
    waiting,
    warm,
)
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.proxy import Proxy
from ops.hosts.agent.servers import SLOTS

STOP_SECONDS = 120.0


def prepare(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill the idle slot and wait until it is healthy; what serves is not touched.

    Args:
        arguments: `lease`; `slot`; `release`; `model` (the whole Compose document); `proxy` (text of haproxy.cfg, with
            the slot active that serves now); `checks` (see `waiting.healthy`); `limit` in seconds; `kept` (may
            be missing): what this host keeps of the release (see `releases.keep`).

    Returns:
        `images`: id of the image of each container; `seconds` that it took.

    Raises:
        Refused: The slot serves, a service does not come up, or the time is over.
    """
    lease.guard(arguments)
    began = time.monotonic()
    until = began + float(arguments["limit"])
    if "kept" in arguments:
        releases.keep(arguments)
    document, slot, front = arguments["model"], arguments["slot"], proxy.of(arguments)
    services, project = document["services"], document["name"]
    names = [name for name, each in services.items() if filling.slot_of(each) == slot]
    if front.running():
        _refuse_serving(front, slot, routes.active_in(arguments["proxy"]))
        filling.take_out(front, slot)
    model = filling.written(arguments)
    now = containers.project(project)
    with ThreadPoolExecutor(max_workers=1) as pool:
        hashes = pool.submit(containers.hashes, model, keep=True)
        filling.clean(now, document, slot, arguments["release"])
    filling.place(front, arguments["proxy"])
    filling.others(model, document, now, hashes.result(), until)
    filling.configure(front, arguments["proxy"], slot, project, until)
    filling.take_out(front, slot)
    ids = filling.started(model, project, services, names, until)
    # Drained it gets no requests either, but is checked: it will be alive by the time of the switch.
    front.tell(slot, "state drain")
    waiting.healthy(front, ids, arguments.get("checks") or {}, until)
    there = containers.raw_project(project)
    mine = [each for each in there if each["Id"] in ids]
    made.keep(base.of(arguments), mine)
    made.settle(base.of(arguments), [each for each in containers.made_of(there) if not each.slot])
    record = {
        "release": arguments["release"],
        "images": {each.service: each.image for each in containers.made_of(mine)},
        "model": hashlib.sha256(model.read_bytes()).hexdigest(),
    }
    base.write(_routes_file(arguments), routes.with_active(arguments["proxy"], slot), 0o644)
    base.write(base.of(arguments) / "slots" / f"{slot}.json", json.dumps(record))
    return {"images": record["images"], "seconds": round(time.monotonic() - began, 3)}


def ground(arguments: dict[str, Any]) -> dict[str, Any]:
    """Start the services that are not switched, before the slot: migrations need the database.

    Args:
        arguments: `lease`; `release`, `kept`, `model`, `proxy` and `limit` as in `prepare`.

    Raises:
        Refused: A service does not come up in time.
    """
    lease.guard(arguments)
    if "kept" in arguments:
        releases.keep(arguments)
    until = time.monotonic() + float(arguments["limit"])
    document, front = arguments["model"], proxy.of(arguments)
    model = filling.written(arguments)
    filling.place(front, arguments["proxy"])
    now = containers.project(document["name"])
    filling.others(model, document, now, containers.hashes(model, keep=True), until)
    waiting.others(document, until)
    return {}


def switch(arguments: dict[str, Any]) -> dict[str, Any]:
    """Send traffic to a slot; new requests go there at once, those of the other slot end where they are.

    Args:
        arguments: `lease`; `project`; `slot`; `limit` in seconds. The routes are those that it was filled with.

    Returns:
        `before`: the slot that served, `seconds` that it took.

    Raises:
        Refused: The slot does not run, or the proxy does not find it alive in time. Traffic is where it was.
    """
    lease.guard(arguments)
    began = time.monotonic()
    until = began + float(arguments["limit"])
    slot, front = arguments["slot"], proxy.of(arguments)
    before = front.serving()
    mine = _running(arguments["project"], slot)
    text = _routes_file(arguments).read_text("utf-8")
    bake.begin(front, base.of(arguments), slot, mine)
    if front.structure() != routes.digest_in(text):
        front.reload(text, until)
        _wait_alive(front, slot, mine, until)
    else:
        _awaken(front, slot, mine, until)
        front.write(text)
        front.tell(slot, "state ready")
        front.tell(_other(slot), "state drain", of=("ready",))
    for each in SLOTS:
        front.tell(each, "weight 100%")
    if front.serving() != slot:
        raise Refused("failed", f"the proxy does not route to {slot}", _shown(front))
    return {"before": before, "seconds": round(time.monotonic() - began, 3)}


def weigh(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give a slot a share of the requests beside the one that serves; a proxy that restarts forgets it.

    Args:
        arguments: `lease`; `project`; `slot`; `percent` from 1 to 99; `limit` in seconds.
    """
    lease.guard(arguments)
    slot, front, percent = arguments["slot"], proxy.of(arguments), int(arguments["percent"])
    if not 1 <= percent <= 99:
        raise Refused("config", f"a share of {percent} % is none: 1 to 99")
    mine = _running(arguments["project"], slot)
    bake.begin(front, base.of(arguments), slot, mine)
    _awaken(front, slot, mine, time.monotonic() + float(arguments["limit"]))
    front.tell(_other(slot), f"weight {100 - percent}")
    front.tell(slot, f"weight {percent}")
    front.tell(slot, "state ready")
    return {"percent": percent}


def retire(arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the slot that does not serve any more end: its requests, then its workers' jobs, then its containers.

    Args:
        arguments: `lease`; `project`; `slot`; `drain`: seconds that its requests may take; `warm`: keep its web
            services running for the instant rollback, and where `seconds` are given for so long; `limit`: seconds for
            all, more than its services take to stop.

    Returns:
        `cut`: how many requests did not end in time.

    Raises:
        Refused: The slot serves.
    """
    lease.guard(arguments)
    slot, front = arguments["slot"], proxy.of(arguments)
    if filling.serving(front) in (slot, "mixed"):
        raise Refused("failed", f"slot {slot} serves, it is not retired", _shown(front))
    mine = [each for each in containers.project(arguments["project"]) if each.slot == slot]
    if arguments.get("seconds"):  # first: whoever is killed after this leaves nothing warm for ever
        warm.begin(arguments)
    workers = _workers(front, mine, slot)
    with ThreadPoolExecutor(max_workers=1) as pool:
        stopping = pool.submit(containers.stop, workers, float(arguments["limit"]))
        cut = _drained(front, slot, float(arguments["drain"])) if front.running() else 0
        stopping.result()
    if not arguments["warm"]:
        containers.stop([each.id for each in mine], float(arguments["limit"]))
    return {"cut": cut}


def clear(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove the containers of a slot that does not serve: the undo of `prepare`. Its workers finish their jobs first.

    Args:
        arguments: `lease`; `project`; `slot`; `limit`: seconds for all, may be missing; `forget` (may be missing):
            release whose file goes as well, or becomes what it was before.

    Raises:
        Refused: The slot serves.
    """
    lease.guard(arguments)
    slot, front = arguments["slot"], proxy.of(arguments)
    if filling.serving(front) in (slot, "mixed"):
        raise Refused("failed", f"slot {slot} serves, it is not removed")
    if front.running():
        filling.take_out(front, slot)
    mine = [each for each in containers.project(arguments["project"]) if each.slot == slot]
    containers.stop(_workers(front, mine, slot), float(arguments.get("limit", STOP_SECONDS)))
    containers.remove([each.id for each in mine])
    (base.of(arguments) / "slots" / f"{slot}.json").unlink(missing_ok=True)
    if arguments.get("forget"):
        releases.forget({**arguments, "release": arguments["forget"]})
    return {}


def _routes_file(arguments: dict[str, Any]) -> Path:
    """Return the file with the configuration that belongs to what is in a slot."""
    return base.of(arguments) / "slots" / f"{arguments['slot']}.cfg"


def _refuse_serving(front: Proxy, slot: str, expected: str) -> None:
    now = front.serving()
    if now == slot:
        raise Refused(
            "failed", f"slot {slot} serves, it is not filled", _shown(front), "run the deploy again"
        )
    if now != expected and now in SLOTS:
        raise Refused(
            "failed",
            f"slot {now or 'none'} serves, expected was {expected or 'none'}",
            _shown(front),
        )


def _running(project: str, slot: str) -> list[Container]:
    """Return the containers of a slot; workers that were stopped when it was retired start again."""
    mine = [each for each in containers.project(project) if each.slot == slot]
    if not mine:
        raise Refused("failed", f"slot {slot} is empty")
    if stopped := [each.id for each in mine if each.state in ("exited", "created")]:
        containers.start(stopped)
        return containers.inspected([each.id for each in mine])
    return mine


def _workers(front: Proxy, mine: Sequence[Container], slot: str) -> list[str]:
    """Return the ids of the containers of a slot that get no requests from the proxy."""
    routed = {f"{each.service}-{slot}" for each in front.servers(slot)} if front.running() else ()
    return [each.id for each in mine if each.service not in routed]


def _awaken(front: Proxy, slot: str, mine: Sequence[Container], until: float) -> None:
    """Let the proxy check a slot that gets no requests yet, until it is alive; one that is warm begins now."""
    front.tell(slot, "state drain", of=("maint",))
    _wait_alive(front, slot, mine, until)


def _wait_alive(front: Proxy, slot: str, mine: Sequence[Container], until: float) -> None:
    """Wait until the proxy's own checks find every server of a slot alive, at the addresses of its containers."""
    known = {address for each in mine for address in each.addresses}

    def dead() -> list[str]:
        return [
            f"{each.name} is {each.status} {each.check} at {each.address or 'no address'}"
            for each in front.servers(slot)
            if not each.alive or each.address not in known
        ]

    if not proxy.wait(lambda: not dead(), until):
        raise Refused("failed", f"the proxy does not find slot {slot} alive", ", ".join(dead()))


def _drained(front: Proxy, slot: str, seconds: float) -> int:
    if all(each.told == "maint" for each in front.servers(slot)):
        return 0
    front.tell(slot, "state drain")
    cut = filling.idle(front, slot, time.monotonic() + seconds)
    front.tell(slot, "state maint")
    return cut


def _other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]


def _shown(front: Proxy) -> str:
    return ", ".join(f"{each.name} {each.told} {each.status}" for each in front.servers())
