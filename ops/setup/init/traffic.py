"""Which requests a service gets, and how it says that it is well."""

from __future__ import annotations

import re
from typing import Final

from ops.setup.init import servers
from ops.setup.init.code import Code
from ops.setup.init.draft import Draft, Section
from ops.setup.init.processes import Process
from ops.setup.init.reads import Read
from ops.setup.init.survey import Survey

_INTERNAL: Final = frozenset(("/metrics", "/docs", "/redoc", "/openapi.json", "/static"))


def route(draft: Draft, survey: Survey, made: Section, code: Code) -> None:
    """Choose the paths that the proxy sends here: all of them, or beside a front end those that it names."""
    others = [each for each in draft.services() if "static" in each.values or "port" in each.values]
    if not others:
        return
    taken = {path for each in others for path in _paths(each)}
    prefixes = [f"/{each.what.split('/')[1]}" for each in code.prefixes or code.routes]
    answers = [f"/{each.what.split('/')[1]}" for each in code.health]
    found = list(survey.front.proxied) or list(dict.fromkeys([*prefixes, *answers]))
    free = [
        each
        for each in found
        if each not in taken | _INTERNAL and re.fullmatch(r"/[\w.-]+(/[\w.-]+)*", each)
    ]
    source = survey.front.where if survey.front.proxied else ""
    if not free:
        free = [f"/{made.header.rpartition('.')[2]}" if "/api" in taken else "/api"]
        draft.decide(f"{made.header}: which paths does it answer? `route` is only a guess")
    made.put("route", free, f"the proxy of {source}" if source else "")


def _paths(section: Section) -> list[str]:
    routes = section.values.get("route")
    return routes if isinstance(routes, list) else ["/"]


def health(draft: Draft, survey: Survey, made: Section, process: Process, code: Code) -> None:
    """Set the paths that say whether it is ready and alive, and the key that echoes its release."""
    found = sorted(code.health, key=_readiness)
    path = process.health or (found[0].what if found else "") or survey.health
    header = made.header
    if not path:
        draft.decide(
            f"{header}: no health path found; set `health`, or `/` must answer 200 once it is ready"
        )
        return
    known = next((each.where for each in found if each.what == path), "")
    made.put("health", path, known or "200 when it may get traffic")
    live = next((each.what for each in found if re.search(r"/(?:live|alive)", each.what)), "")
    if live != path:
        made.put("live", live)
    keys = {each.what for each in code.version_keys}
    if len(keys) == 1 and servers.version_variable(code):
        key = keys.pop()
        made.put("health_version", key, f"must be the release id: {code.version_keys[0].where}")
        draft.decide(
            f"{header}: does {path} answer the release id in its `{key}`? A deploy compares it"
        )


def _readiness(read: Read) -> tuple[int, int]:
    """Readiness first, then plain health, liveness last."""
    order = ("ready", "health", "ping", "live", "alive")
    place = next((at for at, word in enumerate(order) if word in read.what), len(order))
    return place, len(read.what)
