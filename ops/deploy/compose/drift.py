"""`inv drift`: what runs on the hosts differs from what was deployed, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ops.deploy.compose import fleet
from ops.hosts import machines
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.report import Report, Table

_COLUMNS: Final = ("host", "what", "difference", "deployed", "found")


def report(context: Context) -> Report:
    """Compare all hosts with their last deploy, and with each other.

    Raises:
        ConfigurationError: The environment is processes of this machine, or nothing was deployed.
    """
    settings = context.settings
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} is no Compose environment, it has no containers that could differ",
            why='inv drift compares what was deployed to target = "compose"',
            hint=f"what runs: inv status --env {settings.name}",
        )
    asked = {"project": fleet.project(settings)}
    every = machines.of(context)
    found = every.each(lambda one: one.call(context, "drift.find", asked, reads=True)).complete()
    items = [{"host": name, **each} for name in found for each in found[name]["items"]]
    serve = {name: str(each["release"]) for name, each in found.items()}
    first = next(iter(serve.values()))
    items += [
        {"host": name, "what": "release", "difference": "serves", "deployed": first, "found": each}
        for name, each in serve.items()
        if each != first
    ]
    pages = {name: each["maintenance"] for name, each in found.items() if each["maintenance"]}
    facts = {"maintenance page": f"on: {', '.join(pages)}"} if pages else {}
    data = {"environment": settings.name, "release": first, "maintenance": pages, "items": items}
    if not items:
        summary = f"{settings.name} runs what was deployed: {first or 'nothing'}"
        return Report(summary, facts=facts, data=data)
    count = f"{len(items)} difference{'s' if len(items) > 1 else ''}"
    return Report(
        f"{settings.name} differs from what was deployed: {count}",
        exit_code=exits.GENERAL,
        status="difference",
        tables=(Table(_COLUMNS, [tuple(each[name] for name in _COLUMNS) for each in items]),),
        facts=facts,
        hints=_hints(settings.name, items),
        data=data,
    )


def _hints(environment: str, items: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what puts things right: a deploy makes new containers, what is too much somebody must remove."""
    found = [f"inv deploy --env {environment} brings back what was deployed"]
    extra = [
        each for each in items if (each["difference"], each["deployed"]) == ("container", "none")
    ]
    found += [f"on {each['host']}: docker rm --force {each['what']}" for each in extra]
    return tuple(found if len(extra) < len(items) else found[1:])
