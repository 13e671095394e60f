"""Names and addresses of an environment's processes on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ops.hosts import home, ports
from ops.kernel import files
from ops.kernel.settings.models import Service, Settings

SLOTS = ("blue", "green")


def other(slot: str) -> str:
    """Return the other slot."""
    return SLOTS[1 - SLOTS.index(slot)]


def group(settings: Settings, slot: str) -> str:
    """Return the name of the slot's process group in the daemon."""
    return f"{settings.name}-{slot}"


def slot_file(settings: Settings, slot: str) -> Path:
    """Return the file that says what was put into a slot."""
    return home.of(settings).environment(settings.name) / "slots" / f"{slot}.json"


def address(settings: Settings, service: str, described: Service, slot: str) -> str:
    """Return where a service of a slot listens: `unix@/path` or `127.0.0.1:port`."""
    if described.is_static or "{socket}" in described.command:
        return f"unix@{home.of(settings).sockets / f'{group(settings, slot)}-{service}.sock'}"
    return f"127.0.0.1:{_ports(settings).get(f'{slot}-{service}', 0)}"


def _ports(settings: Settings) -> dict[str, int]:
    try:
        ports_of: dict[str, int] = json.loads(_ports_file(settings).read_text())
    except (OSError, ValueError):
        return {}
    return ports_of


def _ports_file(settings: Settings) -> Path:
    return home.of(settings).environment(settings.name) / "ports.json"


def allocate_ports(settings: Settings, slot: str, services: Mapping[str, Service]) -> None:
    """Choose a port for each service that listens on TCP, in both slots; it stays while nobody else takes it.

    Args:
        settings: Of the environment.
        slot: The idle slot: a port of it that is in use belongs to another program now.
        services: Of the release that comes into it.
    """
    known = _ports(settings)
    for name, described in services.items():
        if "{port}" not in described.command:
            continue
        if not ports.is_free(known.get(f"{slot}-{name}", 0)):
            del known[f"{slot}-{name}"]
        for each in SLOTS:
            known.setdefault(f"{each}-{name}", ports.free(set(known.values())))
    if known:
        files.write(_ports_file(settings), json.dumps(known))
