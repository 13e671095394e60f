"""Is the new release healthy: in its slot before the switch, and through the proxy after it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.deploy import health, places, releases
from ops.hosts import haproxy, supervisor
from ops.kernel import redact
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.steps import step

BOOT = 60.0
"""Seconds that a release may take until it is ready."""
THROUGH_PROXY = 15.0
"""Seconds until the release must be seen through the proxy."""


@step(title="Check health in slot {slot}", limit=minutes(2))
def ready(context: Context, slot: str, release: str) -> None:
    """Wait until every service of the slot is ready and says that it is this release.

    Raises:
        StepFailed: One of them is not, with its last answer.
    """
    known = releases.load(context.settings, release)
    targets = [
        _target(known, name, places.address(context.settings, name, known.service(name), slot))
        for name in known.services
        if known.service(name).is_web or known.service(name).is_static
    ]
    group = places.group(context.settings, slot)
    daemon = supervisor.daemon_of(context)
    _check(context, targets, BOOT, lambda: daemon.fail_if_given_up(group))
    daemon.wait_running(group)


@step(title="Check health through the proxy", limit=60)
def served(context: Context, release: str) -> None:
    """Ask for the health of every service whose health path the proxy routes to it.

    Raises:
        StepFailed: It is not healthy, or another release answers.
    """
    known = releases.load(context.settings, release)
    address = f"127.0.0.1:{context.settings.environment.port}"
    targets = [_target(known, name, address) for name in known.services if _is_routed(known, name)]
    _check(context, targets, THROUGH_PROXY, lambda: None)


def _check(
    context: Context,
    targets: list[health.HealthTarget],
    within: float,
    meanwhile: Callable[[], None],
) -> None:
    """Wait for health and write what was found into the table `health_check_results`."""
    try:
        health.wait_healthy(context, targets, within, meanwhile=meanwhile)
    finally:
        for target in targets:
            _record(context, target)


def _record(context: Context, target: health.HealthTarget) -> None:
    if context.history is None:
        return
    began = time.monotonic()
    found = health.probe(target)
    context.history.health(
        run_id=context.run_id,
        environment=context.settings.name,
        target=f"{target.address}{target.path}",
        name=target.service,
        result="healthy" if found.ok else "unhealthy",
        detail=redact.CENTRAL.text(found.reason or found.version),
        seconds=time.monotonic() - began,
    )


def _target(release: releases.Release, name: str, address: str) -> health.HealthTarget:
    described = release.service(name)
    path = haproxy.STATIC_LIVE if described.is_static else described.health
    return health.HealthTarget(name, path, address, described.health_version, release.id)


def _is_routed(release: releases.Release, name: str) -> bool:
    """Say whether the longest prefix of the service's health path is a route of its own."""
    described = release.service(name)
    if described.is_static or not described.is_web:
        return False
    owners = {route: each for each in release.services for route in release.service(each).route}
    matching = [route for route in owners if _begins(described.health, route)]
    return bool(matching) and owners[max(matching, key=len)] == name


def _begins(path: str, route: str) -> bool:
    prefix = route.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")
