"""The configuration of the front proxy: two slots for each service, one of them serving.

Pure text: what is written, checked and loaded is up to the caller. It must load in HAProxy 2.6 (Debian 12) and
2.8 (the wheel). Choices and their reasons:

- The slot that does not serve is `disabled`, so a proxy that restarts comes back right.
- `http-server-close`: a connection to a service is never kept, so a service that ends an idle connection (uvicorn
  does after 5 s) can never meet a request that is on its way. On a Unix socket a new connection costs about 0.1 ms.
- Retries happen only when no connection was made, so a POST is never sent twice.
- `idle-close-on-response` and a short `http-keep-alive`: after a reload the old worker answers kept connections
  once more with `Connection: close` instead of resetting them, and is gone soon.
- The digest of the structure is the `description` of the process: it says what is really loaded.

Source: HAProxy configuration manual 2.6, chapters 3 and 4; HAProxy management guide 2.6, 9.4 (master CLI).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from ops.hosts.runner import Result

SLOTS: Final = ("blue", "green")
KEEP_ALIVE_SECONDS: Final = 15
"""How long a client may keep an idle connection."""
STATIC_LIVE: Final = "/_static/live"
"""Liveness of ops/hosts/static_server.py, which must not import this."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PATH = re.compile(r"/[A-Za-z0-9._~/@+,=?&%-]*")
_ADDRESS = re.compile(r"unix@/[A-Za-z0-9._/@+,=-]+|[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}")

_HEAD = """\
# {name}: written by invops, changes are lost.
global
  description "{name} {digest}"
  maxconn 2000
  no strict-limits
  nbthread 1
  hard-stop-after 75s
  log stdout format raw local0 notice

defaults
  mode http
  option dontlognull
  option log-separate-errors
  option forwardfor
  option http-server-close
  option idle-close-on-response
  option redispatch
  option httpchk
  retries 3
  retry-on conn-failure
  timeout connect 5s
  timeout client 60s
  timeout server 65s
  timeout http-request 10s
  timeout http-keep-alive {keep_alive}s
  timeout tunnel 1h
  log-format "%ci %HM %HP %ST %b/%s %ts %Ta ms"
  http-error status 503 content-type text/plain string "503: the service is not running.\\n"

frontend :public
  bind {bind}
  log global
{rules}"""
_CHECK: Final = "check inter 500ms fall 3 rise 1"
_UNROUTED = """\
backend :unrouted
  http-request return status 503 content-type text/plain string "503: no service is configured for this path.\\n"
"""


@dataclass(frozen=True)
class Backend:
    """One web service behind the proxy.

    Args:
        service: Its name, also the name of the proxy's backend.
        prefixes: Paths that it answers, e.g. `/api` for `/api` and `/api/x` but not `/apix`.
        health_path: Path of its liveness, asked every 500 ms; 2xx and 3xx mean alive.
        servers: Address for each slot: `unix@/path`, `127.0.0.1:8001` or `name:8000`.
        copies: How many servers of a slot its name leads to; each gets an address of its own.
    """

    service: str
    prefixes: tuple[str, ...]
    health_path: str
    servers: Mapping[str, str]
    copies: int = 1


@dataclass(frozen=True)
class Routing:
    """Where the proxy listens and which slot gets the requests.

    Args:
        name: Of application and environment, for people.
        bind: Address and port to listen on.
        admin_socket: Unix socket of the master process (its folder must be private: who can open it is in control).
        backends: The web services.
        active: The slot that serves; None before the first deploy.
        check: What is set for every server: how its liveness is asked for, how its name is looked up.
        rules: Lines that come first for every request.
        sections: Sections beside those of the web services.
    """

    name: str
    bind: str
    admin_socket: Path
    backends: tuple[Backend, ...]
    active: str | None = None
    check: str = _CHECK
    rules: str = ""
    sections: str = ""


def render(routing: Routing) -> str:
    """Return the text of haproxy.cfg.

    Raises:
        ConfigurationError: A name, a path or an address has characters that do not belong there, or two services
            claim the same path.
    """
    routes = _routes(routing.backends)
    head = _HEAD.format(
        name=_valid(_NAME, routing.name, "name of the proxy"),
        digest=structure_digest(routing),
        keep_alive=KEEP_ALIVE_SECONDS,
        bind=_valid(_ADDRESS, routing.bind, "address to listen on"),
        rules=routing.rules,
    )
    rules = [_rule(prefix, service) for prefix, service in routes]
    if all(prefix for prefix, _ in routes):
        rules.append("  default_backend :unrouted\n")
    backends = [_backend(each, routing, routing.active) for each in routing.backends]
    sections = [routing.sections] if routing.sections else []
    return "\n".join([head + "".join(rules), *backends, *sections, _UNROUTED])


def structure_digest(routing: Routing) -> str:
    """Return a digest of everything but the active slot: while it stays the same no reload is needed."""
    structure = (
        _HEAD,
        _UNROUTED,
        routing.name,
        routing.bind,
        _routes(routing.backends),
        [_backend(each, routing, None) for each in routing.backends],
        routing.rules,
        routing.sections,
    )
    return hashlib.sha256(repr(structure).encode()).hexdigest()[:16]


def command(binary: Path, config: Path, admin_socket: Path) -> list[str]:
    """Return the command line for a supervisor: in the foreground, master and worker, master's socket on."""
    master = f"{admin_socket},mode,600,level,admin"
    return [str(binary), "-W", "-db", "-S", master, "-f", str(config)]


def check_command(binary: Path, config: Path) -> list[str]:
    """Return the command line that only checks `config`; it changes nothing."""
    return [str(binary), "-c", "-q", "-f", str(config)]


def check_config(result: Result) -> None:
    """Judge the answer of `check_command`.

    Raises:
        ConfigurationError: HAProxy would not load the file.
    """
    if result.code != 0:
        alerts = [line for line in result.stderr.splitlines() if "[ALERT]" in line]
        raise ConfigurationError(
            "HAProxy refuses its configuration",
            why="; ".join(line.partition(" : ")[2] for line in alerts[:3])
            or result.stderr[-300:].strip(),
            hint="check the routes and health paths in ops.toml",
        )


def _routes(backends: Sequence[Backend]) -> list[tuple[str, str]]:
    owners: dict[str, str] = {}
    for backend in backends:
        for prefix in backend.prefixes:
            path = _valid(_PATH, prefix, f"route of service {backend.service}").rstrip("/")
            other = owners.setdefault(path, backend.service)
            if other != backend.service:
                raise ConfigurationError(
                    f"route {prefix} belongs to two services: {other} and {backend.service}",
                    hint="remove it from one of them in ops.toml",
                )
    return sorted(owners.items(), key=lambda each: (-len(each[0]), each[0]))


def _rule(prefix: str, service: str) -> str:
    if not prefix:
        return f"  default_backend {service}\n"
    return f"  use_backend {service} if {{ path {prefix} }} || {{ path_beg {prefix}/ }}\n"


def _backend(backend: Backend, routing: Routing, active: str | None) -> str:
    name = _valid(_NAME, backend.service, "name of the service")
    path = _valid(_PATH, backend.health_path, f"health path of service {name}")
    lines = [
        f"backend {name}",
        f"  http-check send meth GET uri {path} ver HTTP/1.1 hdr Host localhost",
        f"  default-server {routing.check}",
    ]
    for slot in SLOTS:
        address = _valid(_ADDRESS, backend.servers[slot], f"address of {name} in slot {slot}")
        ends = "" if slot == active else " disabled"
        names = (
            [slot]
            if backend.copies == 1
            else [f"{slot}{each + 1}" for each in range(backend.copies)]
        )
        lines += [f"  server {name} {address}{ends}" for name in names]
    return "\n".join(lines) + "\n"


def _valid(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise ConfigurationError(
            f"{what}: {value!r} cannot be used",
            why="it has a character that does not belong there",
            hint="use letters, digits and - _ . / only",
        )
    return value
