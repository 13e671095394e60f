"""What on this host differs from what was deployed, item by item; changes nothing, shows no value of a variable."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, filling, proxy, routes
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.servers import SLOTS
from ops.hosts.agent.unlike import Item, files, item, network_name, services

PATIENCE_SECONDS = 5.0
# Differences of a service that is not switched which `docker compose up` of the next deploy puts right.
_REPAIRED = ("containers", "state", "definition")
# Nothing unusual in a slot that does not serve: its workers ended, or it was never filled.
_AT_REST = ("containers", "state")


def find(arguments: dict[str, Any]) -> dict[str, Any]:
    """Compare what runs with the document, the slots' records and the files that the last deploy left.

    Args:
        arguments: `project`.

    Returns:
        `release` that serves; `maintenance`: seconds of the page that is on, else 0; `items`: each with `what` (service
        or file), `difference`, `deployed` and `found`.

    Raises:
        Refused: Nothing was deployed here.
    """
    folder = base.of(arguments)
    base.check_owner(arguments)
    model = folder / "model.json"
    if not model.exists():
        raise Refused(
            "config", "nothing was deployed here", f"there is no {model}", "inv deploy, then again"
        )
    document, front = _document(model), proxy.of(arguments)
    slot = filling.serving(front)
    back = routes.active_in(front.text())
    there = containers.raw_project(arguments["project"])
    now = containers.made_of(there)
    items = [
        *services(model, document, there, [slot if slot in SLOTS else back]),
        *files(now, slot),
        *_extra(document, now),
        *_proxy(front, now, slot, back),
        *_left(folder, front, document),
    ]
    record = _record(folder / "slots" / f"{slot if slot in SLOTS else back}.json")
    page = front.maintained() if front.running() else 0
    return {"release": record.get("release", ""), "maintenance": page, "items": items}


def changed(
    folder: Path, document: Mapping[str, Any], there: Sequence[dict[str, Any]], front: proxy.Proxy
) -> list[str]:
    """Return the services and files that a deploy puts right: with one of them there is something to change."""
    found, serves = set(), filling.serving(front)
    for each in services(folder / "model.json", document, there, SLOTS):
        slot, difference = filling.slot_of(document["services"][each["what"]]), each["difference"]
        if difference in _REPAIRED if not slot else slot == serves or difference not in _AT_REST:
            found.add(each["what"])
    return sorted({*found, *(each["what"] for each in _left(folder, front, document))})


def intact(folder: Path) -> list[str]:
    """Return what lies below `files/` and is what its folder's name says, as `files/HASH/NAME`."""
    there = sorted((folder / "files").glob("*/*"))
    return [f"files/{each.parent.name}/{each.name}" for each in there if _is_intact(each)]


def _extra(document: Mapping[str, Any], now: Sequence[Container]) -> Iterator[Item]:
    """Yield containers that no service has: of the project, or on its networks, made by hand."""
    known = {each.id for each in now}
    for each in now:
        if each.service not in document["services"]:
            yield item(each.name, "container", "none", "of a service that is not deployed")
    form = "{{.ID}} {{.Names}} {{.Labels}}"
    for key, network in (document.get("networks") or {}).items():
        if (network or {}).get("external"):  # others are on it by right
            continue
        name = network_name(document, key)
        listed = containers.run(
            ["ps", "--all", "--no-trunc", "--format", form, "--filter", f"network={name}"],
            containers.QUICK_SECONDS,
        )
        for line in listed.splitlines():
            id, named, labels = [*line.split(" ", 2), ""][:3]
            if id not in known and "invops." not in labels:
                known.add(id)
                yield item(named, "container", "none", f"made by hand, on network {name}")


def _proxy(front: proxy.Proxy, now: Sequence[Container], slot: str, back: str) -> Iterator[Item]:
    if not front.running():
        yield item("proxy", "state", "running", "does not answer")
        return
    if slot != back:
        yield item("proxy", "slot that serves", back or "none", slot or "none")
    if front.structure() != routes.digest_in(front.text()):
        deployed, found = routes.digest_in(front.text()), front.structure()
        yield item("proxy", "configuration that it runs", deployed, found)
    told, page = front.maintained(), front.maintained_on_disk()
    if told != page:
        yield item("proxy", "maintenance page", _page(page), _page(told))
    # A check may have failed just now, or a reload was a moment ago: only what stays so is a difference.
    proxy.wait(
        lambda: all(each.alive for each in front.servers(back) if each.told == "ready"),
        time.monotonic() + PATIENCE_SECONDS,
    )
    known = {address for each in now if each.slot == back for address in each.addresses}
    for each in front.servers(back):
        name = f"proxy server {each.name}"
        if each.told != "ready":
            yield item(name, "order", "ready", each.told)
        elif not each.alive:
            yield item(name, "state", "up", f"{each.status} {each.check}".strip())
        if each.told == "ready" and each.weight != each.configured:
            yield item(name, "weight", each.configured, each.weight)
        if each.address and each.address not in known:
            yield item(name, "address", " or ".join(sorted(known)) or "none", each.address)


def _page(seconds: int) -> str:
    return f"on, Retry-After {seconds}" if seconds else "off"


def _left(folder: Path, front: proxy.Proxy, document: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the files that are not as the last deploy left them."""
    ours = [folder / "model.json", front.folder / proxy.CONFIG, front.folder / proxy.MAINTENANCE]
    for path in ours:
        if not base.is_known(path):
            yield item(path.name, "content", "as invops wrote it", _found(path))
    for path in _mounted(folder, document):
        if not _is_intact(path):
            name = f"files/{path.parent.name}/{path.name}"
            yield item(name, "content", path.parent.name, _content(path) or "none")


def _mounted(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    """Return the files of the repository that the document mentions; others may be half of a deploy that was killed."""
    ours = folder / "files"
    named = {Path(each.replace("$$", "$")) for each in _texts(document)}
    inside = [each.relative_to(ours).parts for each in named if ours in each.parents]
    return [ours / parts[0] / parts[1] for parts in sorted(inside) if len(parts) > 1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _is_intact(path: Path) -> bool:
    """Say whether something is what its folder's name says: the hash of names, modes and contents, or of a secret."""
    return path.exists() and path.parent.name in (_content(path), _secret(path))


def _content(path: Path) -> str:
    """Return the hash that the deployer names such a folder by (ops/deploy/compose/files.py)."""
    if not path.exists():
        return ""
    inside = {str(each.relative_to(path)): each for each in sorted(path.rglob("*"))}
    digest = hashlib.sha256()
    for name, file in ({"": path} if path.is_file() else inside).items():
        if file.is_file():
            mode = 0o555 if os.stat(file).st_mode & 0o100 else 0o444
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{name}\0{mode:o}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _secret(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _found(path: Path) -> str:
    return f"changed by hand ({_secret(path)})" if path.exists() else "deleted"


def _document(model: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(model.read_text("utf-8"))
    except ValueError as error:
        raise Refused(
            "failed", f"{model} is damaged", str(error), "inv deploy writes it again"
        ) from error
    return found


def _record(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found
