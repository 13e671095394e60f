"""The proxies of an environment's hosts: what they route to, and the maintenance page."""

from __future__ import annotations

import re

from ops.deploy.compose import fleet
from ops.hosts import machines
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report, Table
from ops.kernel.steps import step

_COLUMNS = ("host", "server", "state", "weight", "sessions", "waiting", "5xx")


def status(context: Context) -> Report:
    """Show slots, weights, sessions and errors as each proxy counts them.

    Raises:
        ConfigurationError: The environment is processes of this machine.
    """
    settings = context.settings
    _refuse_processes(context)
    asked = {"project": fleet.project(settings)}
    every = machines.of(context)
    found = every.each(lambda one: one.call(context, "look.observe", asked, reads=True)).complete()
    rows, data = [], {}
    for name, each in found.items():
        front = each["proxy"]
        data[name] = {"serving": each["serving"], "proxy": front}
        for server in (front or {}).get("servers", []):
            numbers = [server[key] for key in ("weight", "current", "queued")]
            numbers.append(server["counters"].get("hrsp_5xx", 0))
            rows.append((name, server["name"], server["status"], *map(str, numbers)))
    lost = [name for name, each in found.items() if each["proxy"] is None]
    serving = ", ".join(f"{name}: {each['serving'] or 'nothing'}" for name, each in found.items())
    hints = tuple(f"the proxy of {name} does not answer" for name in lost)
    return Report(
        f"serves {serving}", tables=(Table(_COLUMNS, rows),), hints=hints, data={"hosts": data}
    )


def on(context: Context, retry_after: str) -> Plan:
    """Plan the maintenance page on all hosts.

    Args:
        context: Surroundings.
        retry_after: Seconds that clients are told to wait, as it was typed.
    """
    if not re.fullmatch(r"[1-9]\d{0,5}", retry_after, re.ASCII):
        raise ConfigurationError(
            f"--retry-after {retry_after[:20]!r} is not a number of seconds",
            hint="--retry-after 300",
        )
    return _plan(context, "maintenance on", int(retry_after))


def off(context: Context) -> Plan:
    """Plan the way back to the application on all hosts."""
    return _plan(context, "maintenance off", 0)


def _plan(context: Context, operation: str, seconds: int) -> Plan:
    settings = context.settings
    _refuse_processes(context)
    asked = {"project": fleet.project(settings)}
    every = machines.of(context)
    found = every.each(lambda one: one.call(context, "look.observe", asked, reads=True)).complete()
    now = {name: (each["proxy"] or {}).get("retry_after", 0) for name, each in found.items()}
    target = f"the proxy of {settings.app.name} on {', '.join(found)}"
    if all(each == seconds for each in now.values()):
        shown = "shows the page already" if seconds else "serves, there is no page"
        return Plan(operation, settings.name, target, (), nothing=f"{settings.name} {shown}")
    steps = tuple(
        maintain.step(name, group="maintain", host=name, seconds=seconds, before=now[name])
        for name in found
    )
    return Plan(operation, settings.name, target, steps, {"now": now}, fleet.left_out(context))


def _back(context: Context, result: object, host: str, seconds: int, before: int) -> None:
    _tell(context, host, before)


@step(title="Set the maintenance page of {host}", limit=minutes(2), undo=_back)
def maintain(context: Context, host: str, seconds: int, before: int) -> None:
    """Answer with 503 and Retry-After, after the requests that are there; 0 seconds: serve again."""
    _tell(context, host, seconds)


def _tell(context: Context, host: str, seconds: int) -> None:
    arguments = {"project": fleet.project(context.settings), "retry_after": seconds}
    machines.of(context)[host].detached(context, "proxy.maintenance", arguments)


def _refuse_processes(context: Context) -> None:
    settings = context.settings
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} runs as processes of this machine, without a maintenance page",
            hint=f"inv status --env {settings.name}",
        )
