"""How containers differ from what was deployed; changes nothing, shows no value of a variable."""

from __future__ import annotations

import calendar
import hashlib
import subprocess
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ops.hosts.agent import containers, filling, made
from ops.hosts.agent.containers import Container

DIGITS = 12
SETTLING_SECONDS = 60.0
"""What a container changes of its image's files in this time is its own start, e.g. of nginx."""
# Every program writes there.
_WRITTEN = (
    "/tmp/",
    "/run/",
    "/var/",
    "/dev/",
    "/proc/",
    "/sys/",
    "/root/.",
    "/home/",
)  # nosec B108
Item = dict[str, str]


def item(what: str, difference: str, deployed: object, found: object) -> Item:
    """Return a difference."""
    return {
        "what": what,
        "difference": difference,
        "deployed": str(deployed),
        "found": str(found),
    }


def short(digest: str) -> str:
    """Return the beginning of a digest, for a table."""
    return digest.rpartition(":")[2][:DIGITS] or "none"


def hashed(text: str) -> str:
    """Return what stands for a value that nobody may read."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def services(
    model: Path,
    document: Mapping[str, Any],
    there: Sequence[dict[str, Any]],
    slots: Collection[str],
) -> Iterator[Item]:
    """Yield what differs of the services in slots, and of those that are not switched.

    Args:
        model: File of the document.
        document: What the host is to run.
        there: What `docker inspect` says of its containers.
        slots: Which.
    """
    hashes, known = containers.hashes(model), made.known(model.parent)
    # Without `zip`: its `strict` is younger than Python 3.9, and without it a checker complains.
    found = [(each, there[number]) for number, each in enumerate(containers.made_of(there))]
    gone = (document.get("x-invops") or {}).get("gone") or {}
    for name, service in sorted(document["services"].items()):
        if filling.slot_of(service) not in ("", *slots) or gone.get(name, "") not in ("", *slots):
            continue
        mine = [(each, raw) for each, raw in found if each.service == name]
        copies = int((service.get("deploy") or {}).get("replicas") or service.get("scale") or 1)
        if len(mine) != copies:
            yield item(name, "containers", copies, len(mine))
        for each, raw in mine:
            kept = known.get(each.name, {})
            if each.state != "running" and not made.is_over(document, each, known):
                yield item(name, "state", "running", each.state)
            if each.config != hashes.get(name, ""):
                yield item(name, "definition", short(hashes.get(name, "")), short(each.config))
            if kept.get("config") == each.config:
                yield from _as_made(each, raw, kept)
            yield from _environment(name, service, raw)
            yield from _networks(name, service, document, raw)


def _as_made(
    container: Container, raw: Mapping[str, Any], kept: Mapping[str, Any]
) -> Iterator[Item]:
    """Yield what was changed without a new definition: another image of the same name, `docker update`."""
    if container.image != kept["image"]:
        yield item(container.service, "image", short(kept["image"]), short(container.image))
    now = made.limits(raw)
    for key, value in kept["limits"].items():
        if now[key] != value:
            yield item(container.service, key, value, now[key])


def _environment(name: str, service: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the variables whose value is not that of the document, by hash."""
    there = dict(each.partition("=")[::2] for each in raw["Config"].get("Env") or [])
    for key, value in sorted((service.get("environment") or {}).items()):
        deployed = str(value).replace("$$", "$")
        if there.get(key) != deployed:
            was = hashed(there[key]) if key in there else "not set"
            yield item(name, f"variable {key}", hashed(deployed), was)


def _networks(
    name: str, service: Mapping[str, Any], document: Mapping[str, Any], raw: Mapping[str, Any]
) -> Iterator[Item]:
    """Yield the networks that a container was taken off, or attached to, by hand."""
    if service.get("network_mode"):
        return
    known = document.get("networks") or {}
    wanted = {
        network_name(document, each) for each in service.get("networks") or {} if each in known
    }
    there = set((raw.get("NetworkSettings") or {}).get("Networks") or {})
    for network in sorted(wanted - there):
        yield item(name, f"network {network}", "attached", "not attached")
    for network in sorted(there - wanted):
        yield item(name, f"network {network}", "not attached", "attached")


def network_name(document: Mapping[str, Any], key: str) -> str:
    """Return what Docker calls a network of the document."""
    return str((document["networks"][key] or {}).get("name") or f"{document['name']}_{key}")


def files(now: Sequence[Container], slot: str) -> Iterator[Item]:
    """Yield files of the images that somebody changed or deleted in the containers of a slot, or of none."""
    ids = [each.id for each in now if each.slot in ("", slot)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(_changed_files, containers.raw(ids)):
            yield from found


def _changed_files(raw: Mapping[str, Any]) -> list[Item]:
    """Return what was changed in a container; new files are the program's."""
    if raw["HostConfig"].get("ReadonlyRootfs"):
        return []
    container = raw["Id"]
    lines = containers.run(["diff", container], containers.QUICK_SECONDS, check=False).splitlines()
    changes = [(line[:1], line[2:]) for line in lines]
    above = {path.rpartition("/")[0] for _, path in changes}
    mounted = [f"{each['Destination']}/" for each in raw.get("Mounts") or []]
    name = (raw["Config"]["Labels"] or {}).get(containers.SERVICE, "")
    settled = calendar.timegm(time.strptime(raw["Created"][:19], "%Y-%m-%dT%H:%M:%S"))
    return [
        item(name, path, "as in the image", "deleted" if kind == "D" else "changed")
        for kind, path in changes
        if kind in "CD" and path not in above and not f"{path}/".startswith((*_WRITTEN, *mounted))
        if kind == "D" or _modified(container, path) > settled + SETTLING_SECONDS
    ]


def _modified(container: str, path: str) -> float:
    """Return when a file in a container was written, 0 for anything but a file."""
    command = ["docker", "cp", f"{container}:{path}", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as copy:
        try:
            with tarfile.open(fileobj=copy.stdout, mode="r|") as archive:
                first = archive.next()
                return first.mtime if first is not None and first.isfile() else 0.0
        except (tarfile.TarError, OSError):
            return 0.0
        finally:
            copy.kill()
