"""What on this host differs from what was deployed, item by item; changes nothing, shows no value of a variable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, containers, filling, proxy, routes
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.servers import SLOTS

_DIGITS = 12
Item = dict[str, str]


def find(arguments: dict[str, Any]) -> dict[str, Any]:
    """Compare what runs with the document, the slots' records and the files that the last deploy left.

    Args:
        arguments: `project`.

    Returns:
        `release` that serves; `items`: each with `what` (service or file), `difference`, `expected` and `found`.

    Raises:
        Refused: Nothing was deployed here.
    """
    folder = base.of(arguments)
    model = folder / "model.json"
    if not model.exists():
        raise Refused("config", "nothing was deployed here", f"there is no {model}")
    document = json.loads(model.read_text("utf-8"))
    records = {slot: _record(folder / "slots" / f"{slot}.json") for slot in SLOTS}
    front = proxy.of(arguments)
    slot = filling.serving(front)
    now = containers.project(arguments["project"])
    items = [
        *_services(model, document, now, slot, records.get(slot, {})),
        *_extra(arguments["project"], document, now),
        *_model(model, records),
        *_proxy(front, folder, slot),
        *_files(folder / "files"),
    ]
    return {"release": records.get(slot, {}).get("release", ""), "items": items}


def _item(what: str, difference: str, expected: str, found: str) -> Item:
    return {"what": what, "difference": difference, "expected": expected, "found": found}


def _services(
    model: Path,
    document: Mapping[str, Any],
    now: list[Container],
    slot: str,
    record: Mapping[str, Any],
) -> Iterator[Item]:
    """Yield what differs of the services that serve, and of those that are not switched."""
    hashes = containers.hashes(model)
    values = {each["Id"]: each for each in containers.raw([each.id for each in now])}
    gone = (document.get("x-invops") or {}).get("gone") or {}
    for name, service in sorted(document["services"].items()):
        if filling.slot_of(service) not in ("", slot) or name in gone:
            continue
        mine = [each for each in now if each.service == name]
        if not mine:
            yield _item(name, "container", "one that runs", "none")
        for each in mine:
            if each.state != "running" and not each.completed:
                yield _item(name, "state", "running", each.state)
            if each.config != hashes.get(name, ""):
                yield _item(name, "definition", _short(hashes.get(name, "")), _short(each.config))
            image = record.get("images", {}).get(name) or _image(str(service["image"]))
            if image and each.image != image:
                yield _item(name, "image", _short(image), _short(each.image))
            yield from _environment(name, service, values.get(each.id, {}))


def _environment(name: str, service: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the variables whose value is not that of the document, by hash."""
    there = dict(each.partition("=")[::2] for each in (found.get("Config") or {}).get("Env") or [])
    for key, value in sorted((service.get("environment") or {}).items()):
        expected = str(value).replace("$$", "$")
        if there.get(key) != expected:
            was = _hash(there[key]) if key in there else "not set"
            yield _item(name, f"variable {key}", _hash(expected), was)


def _extra(project: str, document: Mapping[str, Any], now: list[Container]) -> Iterator[Item]:
    """Yield containers that no service has: of the project, or on its networks, made by hand."""
    for each in now:
        if each.service not in document["services"]:
            yield _item(each.name, "container", "none", "of a service that is not deployed")
    known = {each.id for each in now}
    for network in document.get("networks") or {}:
        name = (document["networks"][network] or {}).get("name") or f"{project}_{network}"
        listed = containers.run(
            [
                "ps",
                "--all",
                "--no-trunc",
                "--format",
                "{{.ID}} {{.Names}}",
                "--filter",
                f"network={name}",
            ],
            containers.QUICK_SECONDS,
        )
        for line in listed.splitlines():
            id, _, named = line.partition(" ")
            if id not in known:
                known.add(id)
                yield _item(named, "container", "none", f"made by hand, on network {network}")


def _model(model: Path, records: Mapping[str, Mapping[str, Any]]) -> Iterator[Item]:
    known = {str(each["model"]) for each in records.values() if each.get("model")}
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    if known and found not in known:
        yield _item("model.json", "content", " or ".join(sorted(map(_short, known))), _short(found))


def _proxy(front: proxy.Proxy, folder: Path, slot: str) -> Iterator[Item]:
    if not front.running():
        yield _item("proxy", "state", "running", "does not answer")
        return
    back = routes.active_in(front.text())
    if slot != back:
        yield _item("proxy", "slot that serves", back or "none", slot or "none")
    wanted = folder / "slots" / f"{back}.cfg"
    if (
        back
        and wanted.exists()
        and routes.with_active(wanted.read_text("utf-8"), back) != front.text()
    ):
        yield _item("haproxy.cfg", "content", _hash(wanted.read_text("utf-8")), _hash(front.text()))
    if front.maintained():
        yield _item("proxy", "maintenance", "off", f"on, Retry-After {front.maintained()}")
    for each in front.servers(slot):
        if not each.alive:
            yield _item(f"proxy server {each.name}", "state", "up", each.status)


def _files(folder: Path) -> Iterator[Item]:
    """Yield mounted files that are not what their folder's name says: the hash of names, modes and contents."""
    for each in sorted(folder.glob("*/*")):
        found = _content(each)
        if not found.startswith(each.parent.name) and _secret(each) != each.parent.name:
            yield _item(f"files/{each.parent.name}/{each.name}", "content", each.parent.name, found)


def _content(path: Path) -> str:
    """Return the hash that the deployer names such a folder by (ops/deploy/compose/files.py)."""
    found = (
        {"": path}
        if path.is_file()
        else {
            str(each.relative_to(path)): each for each in sorted(path.rglob("*")) if each.is_file()
        }
    )
    digest = hashlib.sha256()
    for name, file in found.items():
        mode = 0o555 if os.stat(file).st_mode & 0o100 else 0o444
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name}\0{mode:o}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _secret(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _image(reference: str) -> str:
    argv = ["image", "inspect", "--format", "{{.Id}}", reference]
    return containers.run(argv, containers.QUICK_SECONDS, check=False).strip()


def _record(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:_DIGITS] or "none"
