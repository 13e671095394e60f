"""Is a service healthy, and is it the expected release?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.hosts import http
from ops.hosts.polling import wait_for
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, StepFailed

POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class HealthTarget:
    """Where to ask for the health of a service.

    Args:
        service: Its name, for messages.
        path: Path of its readiness, e.g. `/health/ready`.
        address: `unix@/path/of.sock` or `127.0.0.1:8000`.
        version_key: Key of the JSON answer that must equal `version`; empty when the service tells none.
        version: Expected release.
    """

    service: str
    path: str
    address: str
    version_key: str = ""
    version: str = ""


@dataclass(frozen=True)
class Health:
    """What a probe found.

    Args:
        ok: It may get traffic, and it is the expected release.
        status: HTTP status, 0 when it did not answer.
        version: The release that it told, empty for none.
        reason: Why it is not ok, for a person.
    """

    ok: bool
    status: int = 0
    version: str = ""
    reason: str = ""


def probe(target: HealthTarget, timeout: float = PROBE_SECONDS) -> Health:
    """Ask once; ok is status 200 and, where the service tells it, the expected version.

    Args:
        target: Whom to ask.
        timeout: Seconds for the whole answer.
    """
    on_socket = target.address.startswith("unix@")
    host = "localhost" if on_socket else target.address
    socket = Path(target.address.removeprefix("unix@")) if on_socket else None
    try:
        answer = http.get(f"http://{host}{target.path}", unix_socket=socket, timeout=timeout)
    except ConnectionFailed as error:
        return Health(ok=False, reason=f"does not answer ({error.why})")
    if answer.status != 200:
        told = answer.text_tail or "with an empty body"
        return Health(
            ok=False, status=answer.status, reason=f"{target.path} answers {answer.status}: {told}"
        )
    if not target.version_key:
        return Health(ok=True, status=answer.status)
    return _of_version(target, answer)


def wait_healthy(
    context: Context,
    targets: Sequence[HealthTarget],
    within: float,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Ask every 100 ms until all targets are healthy.

    Args:
        context: Gives the deadline; observers are told who is awaited.
        targets: Whom to ask.
        within: Seconds until it fails.
        meanwhile: Called before each round; it raises when waiting has become pointless, e.g. the process is gone.

    Raises:
        StepFailed: A target is not healthy in time; it has the last answer of each.
    """
    deadline = context.within(within).deadline
    waiting = {target: Health(ok=False, reason="was not asked") for target in targets}

    def all_healthy() -> bool:
        meanwhile()
        for target in list(waiting):
            # A probe gets its time also when the deadline is near: its reason is worth more than a second.
            waiting[target] = probe(
                target, timeout=max(1.0, min(PROBE_SECONDS, deadline.remaining()))
            )
            if waiting[target].ok:
                del waiting[target]
        context.progress("waiting for health", len(targets) - len(waiting), len(targets))
        return not waiting

    if not wait_for(all_healthy, deadline, every=POLL_SECONDS):
        names = ", ".join(target.service for target in waiting)
        raise StepFailed(
            f"not healthy within {deadline.seconds:g} s: {names}",
            why="; ".join(
                f"{target.service} {health.reason}" for target, health in waiting.items()
            ),
            hint="look at the service's log: inv logs",
        )


def _of_version(target: HealthTarget, answer: http.Answer) -> Health:
    if not isinstance(answer.json, dict) or target.version_key not in answer.json:
        reason = (
            f'{target.path} answers 200 without the key "{target.version_key}": {answer.text_tail}'
        )
        return Health(ok=False, status=answer.status, reason=reason)
    version = str(answer.json[target.version_key])
    if version != target.version:
        reason = f"is another release: it says {version}, expected {target.version}"
        return Health(ok=False, status=answer.status, version=version, reason=reason)
    return Health(ok=True, status=answer.status, version=version)
