"""The maintenance page: 503 with `Retry-After` for every request, after those that are there have ended."""

from __future__ import annotations

import time
from typing import Any

from ops.hosts.agent import filling, lease, proxy
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.servers import SLOTS


def page(arguments: dict[str, Any]) -> dict[str, Any]:
    """Verb: show the page, or serve again.

    Args:
        arguments: `lease`; `retry_after`, seconds that clients are told to wait, 0 to serve again; `drain`: seconds
            that the requests which are there may take.

    Returns:
        `cut`: how many requests did not end in time.

    Raises:
        Refused: The proxy does not run: it would come back with the page, but nobody sees one now.
    """
    lease.guard(arguments)
    front, seconds = proxy.of(arguments), int(arguments["retry_after"])
    if not (front.folder / proxy.CONFIG).exists():
        raise Refused("config", "nothing was deployed here", hint="inv deploy, then again")
    front.maintain(seconds)
    if not front.running():
        why = "it would come back so: its file says it"
        raise Refused("failed", "the proxy does not answer", why, "inv deploy starts it")
    if not seconds:
        return {"cut": 0}
    until = time.monotonic() + float(arguments["drain"])
    return {"cut": sum(filling.idle(front, slot, until) for slot in SLOTS)}
