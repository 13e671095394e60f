"""Waiting for the containers of a slot: until they are healthy, or until it is clear that they will not be.

A web service is asked through the proxy, from where its requests will come; the answer counts when it names the
expected release. Its container's own health check may only object: its first answer can be half a minute away. A worker
is healthy by its container's check, and without one when it has run for `SETTLED_SECONDS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ops.hosts.agent import containers, proxy
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.proxy import Proxy

POLL_SECONDS = 0.1
PROBE_SECONDS = 5.0
SETTLED_SECONDS = 1.0
CRASHES = 2
"""So many in a row are a crash loop."""


def healthy(
    front: Proxy, ids: Sequence[str], checks: Mapping[str, Mapping[str, str]], until: float
) -> None:
    """Wait until containers are healthy.

    Args:
        front: The proxy.
        ids: Of the containers.
        checks: For each Compose service that gets requests: `path`, `version_key` (may be empty), `version`.
        until: When to give up, on the monotonic clock.

    Raises:
        Refused: A container crashes again and again, says that it is unhealthy, or the time is over. With the last
            lines of its log.
    """
    reasons: dict[str, str] = {}

    def all_healthy() -> bool:
        reasons.clear()
        for each in containers.inspected(ids):
            _refuse_broken(each)
            if why := _lacks(front, each, checks):
                reasons[each.service] = why
        return not reasons

    if not proxy.wait(all_healthy, until, every=POLL_SECONDS):
        told = "; ".join(f"{service} {why}" for service, why in reasons.items())
        late = [each for each in containers.inspected(ids) if each.service in reasons]
        raise Refused("failed", f"not healthy in time: {told}", "\n".join(map(last_words, late)))


def others(document: Mapping[str, Any], until: float) -> None:
    """Wait until the services that are not switched run, and are healthy where they say so.

    Args:
        document: Says which services there are; what else runs in the project is somebody else's.
        until: When to give up, on the monotonic clock.

    Raises:
        Refused: One is not in time, with the last lines of its log.
    """
    late: list[Container] = []

    def all_up() -> bool:
        late[:] = [
            each
            for each in containers.project(document["name"])
            if each.service in document["services"]
            and not (each.slot or each.completed or _is_up(each))
        ]
        return not late

    if not proxy.wait(all_up, until, every=POLL_SECONDS):
        states = ", ".join(f"{each.service} is {each.state} {each.health}".strip() for each in late)
        raise Refused("failed", f"not up in time: {states}", "\n".join(map(last_words, late)))


def _is_up(container: Container) -> bool:
    return container.state == "running" and container.health in ("", "healthy")


def dependencies(
    services: Mapping[str, Any], names: Sequence[str], project: str, until: float
) -> None:
    """Wait for what services depend on, as their `depends_on` says.

    Args:
        services: Of the document.
        project: The Compose project.
        names: Those that are to start; what they depend on among themselves is not looked at.
        until: When to give up.

    Raises:
        Refused: One of these is not there in time.
    """
    wanted = {
        other: condition
        for name in names
        for other, condition in (services[name].get("depends_on") or {}).items()
        if other not in names and condition.get("required", True)
    }
    missing: list[str] = []

    def there() -> bool:
        now = {each.service: each for each in containers.project(project)}
        for name in wanted.keys() & now.keys():
            _refuse_failed(now[name], wanted[name]["condition"])
        missing[:] = [
            name for name, each in wanted.items() if not _meets(now.get(name), each["condition"])
        ]
        return not missing

    if wanted and not proxy.wait(there, until, every=POLL_SECONDS):
        now = [each for each in containers.project(project) if each.service in missing]
        states = ", ".join(f"{each.service} is {each.state} {each.health}".strip() for each in now)
        what = f"{', '.join(missing)}: needed by {', '.join(names)}, not ready in time"
        raise Refused("failed", what, "\n".join([states, *map(last_words, now)]))


def last_words(container: Container) -> str:
    """Return the last lines of a container's log, for a message."""
    return f"last lines of {container.name}:\n{containers.logs(container.id) or '(none)'}"


def ask(front: Proxy, service: str, path: str) -> tuple[int, bytes]:
    """Ask one service of one slot through the proxy; return status and body, 0 when there was no answer.

    Args:
        front: The proxy.
        service: Compose service, e.g. `backend-green`.
        path: Path with query.
    """
    import http.client  # loads TLS and mail as well, and most verbs ask nothing

    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{proxy.PROBED}: {service}\r\nConnection: close\r\n\r\n"
    try:
        with proxy.connected(front.folder / "run" / proxy.PROBE, PROBE_SECONDS) as connection:
            connection.sendall(request.encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()


def _refuse_broken(container: Container) -> None:
    crashed = container.restarts >= CRASHES
    ended = container.state in ("exited", "dead")
    if crashed or ended:
        how = f"crashed {container.restarts} times" if crashed else "ended"
        what = f"{container.service} {how}, the last time with exit code {container.exit_code}"
        raise Refused("failed", what, last_words(container))
    # One that crashed counts as unhealthy until it runs again.
    if container.health == "unhealthy" and container.state == "running" and not container.restarts:
        raise Refused(
            "failed", f"{container.service} says that it is unhealthy", last_words(container)
        )


def _lacks(front: Proxy, container: Container, checks: Mapping[str, Mapping[str, str]]) -> str:
    """Return what a container lacks to be healthy, empty for nothing."""
    if container.state != "running":
        return f"is {container.state}"
    if container.service in checks:
        return _wrong_answer(front, container.service, checks[container.service])
    if container.health:
        return "" if container.health == "healthy" else f"is {container.health}"
    return "" if container.age >= SETTLED_SECONDS else "has just started"


def _wrong_answer(front: Proxy, service: str, check: Mapping[str, str]) -> str:
    status, body = ask(front, service, check["path"])
    shown = " ".join(body[:200].decode(errors="replace").split())
    if status == 0:
        return f"cannot be asked: {shown}"
    if status != 200:
        return f"answers {status} at {check['path']}: {shown}"
    if not check.get("version_key"):
        return ""
    try:
        version = json.loads(body)[check["version_key"]]
    except (ValueError, KeyError, TypeError):
        return f"answers without the key {check['version_key']!r}: {shown}"
    wanted = check["version"]
    return (
        ""
        if str(version) == wanted
        else f"is another release: it says {version}, expected {wanted}"
    )


def _refuse_failed(container: Container, condition: str) -> None:
    """Refuse at once what was to run to its end and did not end well."""
    over = condition == "service_completed_successfully" and container.state == "exited"
    if over and not container.completed:
        what = f"{container.service} ended with exit code {container.exit_code}"
        raise Refused("failed", what, last_words(container))


def _meets(container: Container | None, condition: str) -> bool:
    if container is None:
        return False
    if condition == "service_completed_successfully":
        return container.completed
    if condition == "service_healthy":
        return container.health == "healthy"
    return container.state == "running" or container.completed
