"""One service of the user's Compose file in a slot.

Two copies of a service run side by side, so what only one of them can have goes: published ports, its container's name,
fixed addresses, aliases on shared networks. Names by which its neighbours know it lead to the copy of their own slot:
they are aliases on the slot's own network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from ops.deploy.compose import haproxy
from ops.deploy.compose.model import Service
from ops.kernel.errors import ConfigurationError

RELEASE: Final = "invops.release"
SLOT: Final = "invops.slot"
_SINGLE: Final = ("ports", "container_name", "mac_address", "restart")
_FIXED: Final = ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address")
_SHARED: Final = ("network_mode", "ipc", "pid", "cgroup", "uts")


def name(service: str, slot: str) -> str:
    """Return what a service is called in a slot."""
    return f"{service}-{slot}"


def slotted(
    service: str,
    given: Service,
    *,
    slot: str,
    release: str,
    neighbours: Collection[str],
    known_as: Sequence[str],
    routed: bool,
    stop_seconds: float,
) -> dict[str, Any]:
    """Return a service as it runs in a slot.

    Args:
        service: Its name.
        given: As the user described it, resolved, with image and variables.
        slot: The slot.
        release: What its label says.
        neighbours: All switched services.
        known_as: Names by which they know it.
        routed: Whether it gets requests from the proxy.
        stop_seconds: How long it may take to end, where the user's file does not say it.

    Raises:
        ConfigurationError: It cannot run twice on a host.
    """
    made = {key: value for key, value in given.items() if key not in _SINGLE}
    if "deploy" in made:
        made["deploy"] = {
            key: each for key, each in made["deploy"].items() if key != "restart_policy"
        }
    made["restart"] = "unless-stopped"
    made.setdefault("stop_grace_period", f"{stop_seconds:g}s")
    made["labels"] = {**(given.get("labels") or {}), RELEASE: release, SLOT: slot}
    _rename(made, neighbours, slot)
    if not _has_own_network(service, made, routed):
        return made
    made["networks"] = {key: _free(each) for key, each in (given.get("networks") or {}).items()}
    made["networks"][haproxy.network(slot)] = {"aliases": list(known_as)}
    return made


def dropped(service: str, given: Service) -> list[str]:
    """Say in words what a service loses in a slot and somebody might miss."""
    lost = []
    if given.get("ports"):
        ports = ", ".join(
            str(each.get("published") or each.get("target")) for each in given["ports"]
        )
        lost.append(f"{service}: port {ports} is not published, the proxy answers instead")
    if given.get("container_name"):
        lost.append(f"{service}: container_name {given['container_name']}, two of them run")
    for network, each in (given.get("networks") or {}).items():
        lost += [f"{service}: {key} on network {network}" for key in _FIXED if key in (each or {})]
    return lost


def aliases(service: str, services: Mapping[str, Service]) -> list[str]:
    """Return every name by which the others know a service: its own, its aliases, its container's, those of links."""
    given = services[service]
    found = [service]
    for each in (given.get("networks") or {}).values():
        found += (each or {}).get("aliases") or []
    if given.get("container_name"):
        found.append(given["container_name"])
    for other in services.values():
        found += [alias for target, alias in links(other) if target == service]
    return list(dict.fromkeys(found))


def links(given: Service) -> list[tuple[str, str]]:
    """Return the links of a service: to which one, by which name."""
    pairs = [each.partition(":") for each in given.get("links") or []]
    return [(target, alias or target) for target, _, alias in pairs]


def _has_own_network(service: str, made: Mapping[str, Any], routed: bool) -> bool:
    """Say whether it has networks of its own, not those of the host or of another container."""
    if not made.get("network_mode"):
        return True
    if routed:
        raise ConfigurationError(
            f"service {service} has network_mode {made['network_mode']!r}",
            why="two releases of it run side by side, and the proxy finds them by their names",
            hint="remove network_mode from it in the Compose file",
        )
    return False


def _free(attached: Mapping[str, Any] | None) -> dict[str, Any] | None:
    kept = {key: each for key, each in (attached or {}).items() if key not in (*_FIXED, "aliases")}
    return kept or None


def _rename(made: dict[str, Any], neighbours: Collection[str], slot: str) -> None:
    """Let everything that names a neighbour name its copy in the same slot."""

    def own(word: str) -> str:
        return name(word, slot) if word in neighbours else word

    if "depends_on" in made:
        made["depends_on"] = {own(key): each for key, each in made["depends_on"].items()}
    if "links" in made:  # to a neighbour: an alias on the slot's network does the same
        made["links"] = [
            f"{target}:{alias}" for target, alias in links(made) if target not in neighbours
        ]
    if "volumes_from" in made:
        made["volumes_from"] = [_renamed(each, own) for each in made["volumes_from"]]
    for key in _SHARED:
        kind, _, other = str(made.get(key, "")).partition(":")
        if kind == "service":
            made[key] = f"service:{own(other)}"


def _renamed(source: str, own: Callable[[str], str]) -> str:
    """Rename the service in `service`, `service:ro`; `container:name` is of another project."""
    word, _, rest = source.partition(":")
    return source if word == "container" else ":".join(filter(None, [own(word), rest]))
