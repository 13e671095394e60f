"""HAProxy as the front proxy: its configuration (pure text) and its run time (the master process's socket).

A deploy moves traffic with `Proxy` and never reloads. A change of structure (services, routes, addresses, port)
needs `Proxy.reload`; `Proxy.structure() != structure_digest(routing)` tells when.
"""

from ops.hosts.agent.routes import active_in
from ops.hosts.haproxy.config import (
    KEEP_ALIVE_SECONDS,
    SLOTS,
    STATIC_LIVE,
    Backend,
    Routing,
    check_command,
    check_config,
    command,
    render,
    structure_digest,
)
from ops.hosts.haproxy.proxy import Proxy, ServerState

__all__ = [
    "KEEP_ALIVE_SECONDS",
    "SLOTS",
    "STATIC_LIVE",
    "Backend",
    "Proxy",
    "Routing",
    "ServerState",
    "active_in",
    "check_command",
    "check_config",
    "command",
    "render",
    "structure_digest",
]
