"""The parts of `slots.prepare`: what else runs on the host, the proxy's file, the containers of the idle slot."""

from __future__ import annotations

import graphlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, certificate, containers, made, proxy, routes, waiting
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.proxy import Proxy

ANSWER_SECONDS = 20.0
"""How long the proxy may take to answer after its start or reload."""
DRAIN_SECONDS = 35.0
"""How long requests may take that a killed deploy left in the idle slot."""
PROXY = "invops-proxy"
# Users inside containers are not ours; on the host nobody gets past the private folder above.
_FOR_READERS = 0o755
_FOR_WRITERS = 0o777


def serving(front: Proxy) -> str:
    """Return the slot that gets requests; for a proxy that does not run it is what its file says."""
    return front.serving() if front.running() else routes.active_in(front.text())


def slot_of(service: Mapping[str, Any]) -> str:
    """Return the slot of a service in the document, empty for one that is not switched."""
    return str((service.get("labels") or {}).get(containers.SLOT, ""))


def written(arguments: Mapping[str, Any]) -> Path:
    """Write the document, and open what it mounts to the containers' users: only the folder above is private."""
    folder = base.of(dict(arguments))
    for each in ("proxy", "proxy/run", "slots", "shared", "files"):
        (folder / each).mkdir(mode=0o700, exist_ok=True)
    os.chmod(folder / "proxy", _FOR_READERS)
    os.chmod(folder / "proxy" / "run", _FOR_WRITERS)
    os.chmod(folder / "shared", _FOR_READERS)
    for path, _, _ in os.walk(folder / "files"):
        os.chmod(path, _FOR_READERS)
    _refuse_missing(folder, arguments["model"])
    base.record(folder / "model.json", json.dumps(arguments["model"], sort_keys=True))
    return folder / "model.json"


def _refuse_missing(folder: Path, document: Mapping[str, Any]) -> None:
    """Refuse secrets and configs whose files somebody had to put on the host: git does not track them."""
    for section in ("secrets", "configs"):
        for name, each in (document.get(section) or {}).items():
            path = Path(str(each.get("file") or "/").replace("$$", "$"))
            if folder / "shared" in path.parents and not path.exists():
                raise Refused(
                    "config",
                    f"the file of {section[:-1]} {name} is not on this host: {path}",
                    "git does not track it, so it does not come with the release",
                    "put it there, or give the secret by a variable: environment = in the Compose file",
                )


def others(
    model: Path,
    document: Mapping[str, Any],
    now: Sequence[Container],
    hashes: Mapping[str, str],
    until: float,
) -> None:
    """Make and start the services that are not switched where they are missing or defined otherwise now.

    Args:
        model: File of the document.
        document: The same.
        now: Containers that are there.
        hashes: Of each definition.
        until: When to give up.
    """
    gone = (document.get("x-invops") or {}).get("gone") or {}
    names = [
        name
        for name, each in document["services"].items()
        if not slot_of(each) and name not in gone
    ]
    found = made.known(model.parent)
    needed = [
        name
        for name in names
        if not _as_defined(
            document, [one for one in now if one.service == name], hashes[name], found
        )
    ]
    if PROXY in needed:
        _refuse_taken(document["services"][PROXY], [each for each in now if each.service == PROXY])
    if needed:
        containers.up(model, needed, until - time.monotonic(), alone=False)
    if needed or not found:
        there = containers.project(document["name"])
        mine = [each for each in there if each.service in names]
        new = [each.id for each in mine if each.service in needed or each.name not in found]
        made.keep(model.parent, containers.raw(new))


def _refuse_taken(wanted: Mapping[str, Any], there: Sequence[Container]) -> None:
    """Refuse a port that somebody else has, before the proxy is stopped that would then not come back."""
    published = [containers.run(["port", each.id], 10, check=False).split() for each in there]
    for port in (int(each["published"]) for each in wanted["ports"]):
        if not any(word.endswith(f":{port}") for words in published for word in words):
            _refuse_bound(port)


def _refuse_bound(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except PermissionError:  # a low port, and we are not root: Docker is
            return
        except OSError as error:
            raise Refused(
                "failed",
                f"port {port} is taken on this host",
                error.strerror or str(error),
                "give the environment another port in ops.toml, or stop who has it",
            ) from error


def _as_defined(
    document: Mapping[str, Any],
    there: Sequence[Container],
    wanted: str,
    found: Mapping[str, Mapping[str, Any]],
) -> bool:
    return bool(there) and all(
        each.config == wanted and (each.state == "running" or made.is_over(document, each, found))
        for each in there
    )


def place(front: Proxy, text: str) -> None:
    """Put the files where a proxy that is about to start finds them; one that runs is told by `configure`."""
    if not (front.folder / proxy.MAINTENANCE).exists():
        base.record(front.folder / proxy.MAINTENANCE, "retry-after 0\n", 0o644)
    if f"/{proxy.CERTIFICATE} " in text:
        if not (front.folder / proxy.ANSWERS).exists():
            base.write(front.folder / proxy.ANSWERS, "", 0o644)
        if not (front.folder / proxy.CERTIFICATE).exists():
            base.write(front.folder / proxy.CERTIFICATE, certificate.placeholder(), 0o644)
    if not front.running():
        front.write(text)


def configure(front: Proxy, text: str, slot: str, project: str, until: float) -> None:
    """Give the proxy its file, with what serves as it is; only another structure needs a reload.

    Raises:
        Refused: It does not answer, or does not take the file; with its last lines.
    """
    within = min(until, time.monotonic() + ANSWER_SECONDS)
    if not proxy.wait(front.running, within):
        raise Refused("failed", "the proxy does not answer", _last_words(project))
    structure, there = front.structure(), front.text()
    wanted, active = routes.digest_in(text), routes.active_in(text)
    if active and wanted != routes.routed_as(structure) and structure == routes.digest_in(there):
        text = routes.merged(there, text, slot, active)
    if structure != routes.digest_in(text):
        front.reload(text, within)
    elif text != there:
        front.write(text)


def _last_words(project: str) -> str:
    found = [each for each in containers.project(project) if each.service == PROXY]
    return "\n".join(waiting.last_words(each) for each in found) or "it has no container"


def take_out(front: Proxy, slot: str) -> None:
    """Make sure that a slot gets no requests; what a killed deploy left in it may end first."""
    if any(each.told != "maint" for each in front.servers(slot)):
        front.tell(slot, "state drain")
        idle(front, slot, time.monotonic() + DRAIN_SECONDS)
        front.tell(slot, "state maint")
    front.tell(slot, "weight 100%")


def idle(front: Proxy, slot: str, until: float) -> int:
    """Wait until a drained slot has no request left, then cut those that did not end; return how many.

    A worker from before a reload counts: it is invisible, and its idle clients may ask once more.
    """

    def empty() -> bool:
        busy = any(each.current or each.queued for each in front.servers(slot))
        return not busy and not front.old_workers()

    if front.old_workers():
        until = max(until, time.monotonic() + proxy.KEEP_ALIVE_SECONDS + 2)
    if proxy.wait(empty, until):
        return 0
    cut = sum(each.current + each.queued for each in front.servers(slot))
    front.close_sessions(slot)
    return cut


def clean(now: Sequence[Container], document: Mapping[str, Any], slot: str, release: str) -> None:
    """Remove what is in the idle slot unless it is this release and well, and services that no slot needs any more."""
    old = [each for each in now if each.slot == slot and not _is_well(each, release)]
    ended = (document.get("x-invops") or {}).get("ended") or []
    left = [each for each in now if not each.slot and each.service in ended]
    containers.stop([each.id for each in left], 60.0)
    containers.remove([each.id for each in [*old, *left]])


def _is_well(container: Container, release: str) -> bool:
    well = (
        container.state == "running" and container.restarts == 0 and container.health != "unhealthy"
    )
    return well and container.release == release


def started(
    model: Path, project: str, services: Mapping[str, Any], names: Sequence[str], until: float
) -> list[str]:
    """Start the services of a slot in the order that they need; return the ids of their containers."""
    for wave in _waves(services, names):
        waiting.dependencies(services, wave, project, until)
        containers.up(model, wave, until - time.monotonic(), alone=True)
    found = [each for each in containers.project(project) if each.service in names]
    missing = set(names) - {each.service for each in found}
    if missing:
        raise Refused("failed", f"no container of {', '.join(sorted(missing))} was made")
    return [each.id for each in found]


def _waves(services: Mapping[str, Any], names: Sequence[str]) -> Iterator[list[str]]:
    """Yield services that may start together: those that nothing else of the slot must be there for."""
    sorter = graphlib.TopologicalSorter(
        {
            name: [each for each in services[name].get("depends_on") or {} if each in names]
            for name in names
        }
    )
    sorter.prepare()
    while sorter.is_active():
        wave = list(sorter.get_ready())
        yield sorted(wave)
        sorter.done(*wave)
