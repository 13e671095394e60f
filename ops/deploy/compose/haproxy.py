"""The proxy of a host: its configuration and its container.

The configuration is that of ops/hosts/haproxy, with what Docker needs:
- A slot's server is a name that Docker's own DNS answers; containers change their addresses. `init-addr none`: a slot
  that does not run must not keep the proxy from starting. A DNS that does not answer takes nothing away (an hour's
  `hold`), a name that is gone does within a second.
- Each slot of each service can be asked by itself on a socket in the mounted folder, whatever it is told at the moment:
  so a slot is proved healthy, from where its requests will come, before it gets one.
- Maintenance is a map: switched at run time, and still there after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.hosts import haproxy
from ops.hosts.agent import proxy as agent
from ops.hosts.haproxy import SLOTS, Backend, Routing
from ops.kernel.settings.models import Service

NAME: Final = "invops-proxy"
PORT: Final = 8080
"""Port inside the container."""
TLS_PORT: Final = 8443
"""Likewise for TLS."""
RUN: Final = "/run/invops"
ADMIN: Final = f"{RUN}/admin.sock"
_STOP_SECONDS: Final = 30
_LOOKED_UP: Final = "resolvers docker resolve-prefer ipv4 init-addr none"
# A busy host may answer late; one that is dead refuses at once.
# A slot that was at rest is looked at often until it is alive: the switch waits for that.
_CHECK: Final = (
    f"check inter 500ms fastinter 100ms downinter 100ms fall 3 rise 1 {_LOOKED_UP}\n  timeout check 5s"
)
_MAP: Final = f"{agent.MOUNTED}/{agent.MAINTENANCE}"
_PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Maintenance</title>"
    "<h1>Under maintenance</h1><p>Please come back later.</p></html>"
)
_RULES: Final = (
    '  http-request return status 503 content-type "text/html; charset=utf-8"'
    f' hdr Retry-After "%[str(retry-after),map({_MAP})]" hdr Cache-Control no-store string "{_PAGE}"'
    f" if {{ str(retry-after),map_str_int({_MAP},0) gt 0 }}\n"
)
# What an ACME server asks for comes first: a renewal works during maintenance as well, and without a redirect.
_TLS: Final = f"""\
  bind 0.0.0.0:{TLS_PORT} ssl crt {agent.MOUNTED}/{agent.CERTIFICATE} alpn h2,http/1.1 ssl-min-ver TLSv1.2
  http-request return status 200 content-type text/plain lf-string "%[path,map({agent.MOUNTED}/{agent.ANSWERS})]" \
if {{ path_beg {agent.CHALLENGE} }} {{ path,map({agent.MOUNTED}/{agent.ANSWERS}) -m found }}
  http-request redirect scheme https code 308 unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto https
"""
_RESOLVERS: Final = """\
resolvers docker
  nameserver docker 127.0.0.11:53
  resolve_retries 3
  timeout resolve 500ms
  timeout retry 500ms
  hold valid 1s
  hold nx 500ms
  hold other 1h
  hold refused 1h
  hold timeout 1h
"""
_PROBE: Final = f"""\
frontend :probe
  bind {RUN}/{agent.PROBE} mode 666
  log global
  http-request set-log-level silent
  use_backend :probe-%[req.hdr({agent.PROBED})]
"""


@dataclass(frozen=True)
class Front:
    """The proxy of an environment.

    Args:
        image: HAProxy 2.6 or newer.
        port: Port that it has on the host.
        tls: It has 80 and 443 instead, and answers with TLS.
    """

    image: str
    port: int
    tls: bool = False


def config(
    name: str,
    services: Mapping[str, Service],
    copies: Mapping[str, int],
    active: str = "",
    *,
    tls: bool = False,
) -> str:
    """Return the text of haproxy.cfg.

    Args:
        name: Of application and environment.
        services: The web services with their routes; those of ops.toml that have none are left out.
        copies: How many containers a service has in a slot, 1 where it is missing.
        active: The slot that serves, empty for none.
        tls: Whether it has a certificate and sends everything there.

    Raises:
        ConfigurationError: A path cannot be used, or belongs to two services.
    """
    backends = [
        _backend(each, service, copies) for each, service in services.items() if service.route
    ]
    return haproxy.render(
        Routing(
            name=name,
            bind=f"0.0.0.0:{PORT}",
            admin_socket=Path(ADMIN),
            backends=tuple(backends),
            active=active or None,
            check=_CHECK,
            rules=(_TLS if tls else "") + _RULES,
            sections="\n".join([_RESOLVERS, _PROBE, *_probes(backends)]),
        )
    )


def container(front: Front, folder: str) -> dict[str, Any]:
    """Return the proxy's service in the Compose model.

    Args:
        front: Image and port.
        folder: The proxy's folder on the host, as Compose reads it.
    """
    return {
        "image": front.image,
        "entrypoint": ["haproxy"],
        "command": [
            *("-W", "-db", "-S", f"{ADMIN},mode,666,level,admin"),
            "-f",
            f"{agent.MOUNTED}/{agent.CONFIG}",
        ],
        "restart": "unless-stopped",
        # Requests that it still answers get this long when it is stopped (SIGUSR1: no new connections).
        "stop_signal": "SIGUSR1",
        "stop_grace_period": f"{_STOP_SECONDS}s",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ports": [
            {"mode": "ingress", "target": target, "published": str(port), "protocol": "tcp"}
            for target, port in _ports(front).items()
        ],
        "networks": {network(slot): None for slot in SLOTS},
        "volumes": [
            _mount(folder, agent.MOUNTED, read_only=True),
            _mount(f"{folder}/run", RUN, read_only=False),
        ],
    }


def network(slot: str) -> str:
    """Return the name of the network on which the services of a slot, and the proxy, find each other."""
    return f"slot-{slot}"


def _ports(front: Front) -> dict[int, int]:
    return {PORT: 80, TLS_PORT: 443} if front.tls else {PORT: front.port}


def _mount(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": read_only}


def _backend(name: str, service: Service, copies: Mapping[str, int]) -> Backend:
    servers = {slot: f"{name}-{slot}:{service.container_port}" for slot in SLOTS}
    return Backend(name, service.route, service.live, servers, copies.get(name, 1))


def _probes(backends: Sequence[Backend]) -> list[str]:
    # Who is there takes a connection at once, however busy; a container that has just crashed never does.
    head = "  retries 0\n  timeout connect 1s\n"
    return [
        f"backend :probe-{each.service}-{slot}\n{head}  server probe {each.servers[slot]} {_LOOKED_UP}\n"
        for each in backends
        for slot in SLOTS
    ]
