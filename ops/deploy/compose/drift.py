"""`inv drift`: what runs on the hosts differs from what was deployed, item by item."""

from __future__ import annotations

from ops.deploy.compose import fleet
from ops.hosts import machines
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.report import Report, Table

_COLUMNS = ("host", "what", "difference", "expected", "found")


def report(context: Context) -> Report:
    """Compare all hosts with their last deploy, and with each other.

    Raises:
        ConfigurationError: The environment is processes of this machine, or nothing was deployed.
    """
    settings = context.settings
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} has no containers that could differ",
            hint=f"what runs: inv status --env {settings.name}",
        )
    asked = {"project": fleet.project(settings)}
    every = machines.of(context)
    found = every.each(lambda one: one.call(context, "drift.find", asked, reads=True)).complete()
    items = [{"host": name, **item} for name in found for item in found[name]["items"]]
    serve = {name: str(each["release"]) for name, each in found.items()}
    first = next(iter(serve.values()))
    items += [
        {"host": name, "what": "release", "difference": "serves", "expected": first, "found": each}
        for name, each in serve.items()
        if each != first
    ]
    data = {"environment": settings.name, "release": first, "items": items}
    if not items:
        return Report(f"{settings.name} runs what was deployed: {first or 'nothing'}", data=data)
    count = f"{len(items)} difference{'s' if len(items) > 1 else ''}"
    return Report(
        f"{settings.name} differs from what was deployed: {count}",
        exit_code=exits.GENERAL,
        status="difference",
        tables=(Table(_COLUMNS, [tuple(each[name] for name in _COLUMNS) for each in items]),),
        hints=(f"inv deploy --env {settings.name} brings back what was deployed",),
        data=data,
    )
