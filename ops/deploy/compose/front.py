"""The proxies of an environment's hosts: what they route to, and the maintenance page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.deploy.compose import fleet
from ops.hosts import machines
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report, Table
from ops.kernel.steps import step

_COLUMNS: Final = (
    *("host", "server", "release", "told", "state", "weight", "sessions", "waiting"),
    *("requests", "a second", "errors", "rate"),
)
_ERRORS: Final = ("hrsp_5xx", "econ", "eresp")
"""Answers with 5xx, connections that failed, answers that broke off (HAProxy management guide 2.6, 9.1)."""


@dataclass(frozen=True)
class Paged:
    """A host whose page was set.

    Args:
        cut: Requests that did not end in time.
    """

    cut: int


def status(context: Context) -> Report:
    """Show slots, weights, sessions and error rates as each proxy counts them since it started.

    Raises:
        ConfigurationError: The environment is processes of this machine.
    """
    found = _observe(context)
    rows, data = [], {}
    for name, each in found.items():
        front = each["proxy"] or {}
        releases = {slot: kept.get("release", "") for slot, kept in each["slots"].items()}
        servers = [_server(one, releases) for one in front.get("servers", [])]
        rows += [(name, *map(str, _shown(one).values())) for one in servers]
        data[name] = {
            "serving": each["serving"],
            "release": releases.get(each["serving"], ""),
            "answers": bool(front),
            "maintenance": front.get("retry_after", 0),
            "comes_back": front.get("comes_back", ""),
            "servers": servers,
        }
    silent = [name for name, each in data.items() if not each["answers"]]
    facts = {
        f"page on {name}": f"503, Retry-After {each['maintenance']}"
        for name, each in data.items()
        if each["maintenance"]
    }
    hints = [
        *(f"the proxy of {name} does not answer: inv drift says why" for name in silent),
        *(["inv maintenance.off serves again"] if facts else []),
    ]
    serves = {name: f"{each['release']} ({each['serving']})" for name, each in data.items()}
    shown = ", ".join(
        f"{name} {'serves ' + serves[name] if each['serving'] else 'serves nothing'}"
        for name, each in data.items()
    )
    return Report(
        shown,
        tables=(Table(_COLUMNS, rows),) if rows else (),
        facts=facts,
        hints=tuple(hints),
        data={"environment": context.settings.name, "hosts": data},
        exit_code=exits.GENERAL if silent else exits.OK,
        status="error" if silent else "ok",
    )


def _server(one: Mapping[str, Any], releases: Mapping[str, str]) -> dict[str, Any]:
    """Return one row, by the names of JSON."""
    counted = one["counters"]
    requests, errors = counted["stot"], sum(counted[key] for key in _ERRORS)
    return {
        "server": one["name"],
        "release": releases.get(one["slot"], ""),
        "told": one["told"],
        "state": one["status"],
        "weight": one["weight"],
        "sessions": one["current"],
        "waiting": one["queued"],
        "requests": requests,
        "a_second": counted["rate"],
        "errors": errors,
        "error_rate": round(errors / requests, 6) if requests else 0.0,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "error_rate": f"{row['error_rate']:.2%}"}


def on(context: Context, retry_after: str) -> Plan:
    """Plan the maintenance page on all hosts.

    Args:
        context: Surroundings.
        retry_after: Seconds that clients are told to wait, as it was typed.

    Raises:
        ConfigurationError: That is no time, or nothing was deployed.
    """
    if not re.fullmatch(r"[1-9]\d{0,5}", retry_after, re.ASCII):
        raise ConfigurationError(
            f"--retry-after {retry_after[:20]} is no time", hint="--retry-after 300"
        )
    return _plan(context, "maintenance on", int(retry_after))


def off(context: Context) -> Plan:
    """Plan the way back to the application on all hosts."""
    return _plan(context, "maintenance off", 0)


def _plan(context: Context, operation: str, seconds: int) -> Plan:
    settings, found = context.settings, _observe(context)
    if bare := [name for name, each in found.items() if each["document"] is None]:
        raise ConfigurationError(
            f"nothing was deployed to {', '.join(bare)}, it has no proxy",
            hint=f"inv deploy --env {settings.name}",
        )
    now = {name: (each["proxy"] or {}).get("retry_after", -1) for name, each in found.items()}
    target = f"the proxy of {settings.app.name} on {', '.join(found)}"
    if all(each == seconds for each in now.values()):
        shown = "shows the page already" if seconds else "serves, there is no page"
        return Plan(operation, settings.name, target, (), nothing=f"{settings.name} {shown}")
    make = show if seconds else serve
    steps = tuple(
        make.step(name, group="maintain", host=name, seconds=seconds, before=max(0, now[name]))
        for name in found
    )
    return Plan(operation, settings.name, target, steps, {"now": now}, fleet.left_out(context))


def _back(context: Context, result: object, host: str, seconds: int, before: int) -> None:
    _tell(context, host, before)


@step(
    title="Show the maintenance page on {host}, Retry-After {seconds}", limit=minutes(5), undo=_back
)
def show(context: Context, host: str, seconds: int, before: int) -> Paged:
    """Answer with 503 and Retry-After, and wait for the requests that are there; cut those that do not end in time."""
    paged = Paged(_tell(context, host, seconds))
    if paged.cut:
        context.note(f"{host}: {paged.cut} requests did not end in time and were cut")
    return paged


@step(title="Serve again on {host}", limit=minutes(1), undo=_back)
def serve(context: Context, host: str, seconds: int, before: int) -> Paged:
    """Send requests to the application again."""
    return Paged(_tell(context, host, seconds))


def _tell(context: Context, host: str, seconds: int) -> int:
    settings = context.settings
    longest = max((each.stop_timeout for each in settings.services.values()), default=30.0)
    arguments = {
        "project": fleet.project(settings),
        "retry_after": seconds,
        "drain": min(longest, max(1.0, context.deadline.remaining() - 10)),
    }
    cut: int = machines.of(context)[host].detached(context, "maintenance.page", arguments)["cut"]
    return cut


def _observe(context: Context) -> dict[str, dict[str, Any]]:
    settings = context.settings
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} is no Compose environment, it has no proxy of ours in a container",
            hint=f"what runs: inv status --env {settings.name}",
        )
    asked = {"project": fleet.project(settings)}
    every = machines.of(context)
    return every.each(lambda one: one.call(context, "look.observe", asked, reads=True)).complete()
