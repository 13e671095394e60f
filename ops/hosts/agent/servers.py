"""What HAProxy says about its servers, as objects.

Source: HAProxy management guide 2.6, 9.1 (CSV format) and 9.3 (`show servers state`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

SLOTS = ("blue", "green")
TOLD = ("ready", "drain", "maint")
# Bits of srv_admin_state: forced by an operator or inherited. Name resolution has its own: not an order of anybody.
_MAINTENANCE, _DRAIN, _UNRESOLVED = 0x01 | 0x02, 0x08 | 0x10, 0x20


@dataclass(frozen=True)
class Server:
    """What the proxy says about one server: one copy of a service in a slot.

    Args:
        service: Its service.
        slot: Its slot.
        name: As the proxy calls it: `backend/blue`, or `backend/blue1` where a slot has several copies.
        told: What it was told: `ready`, `drain` or `maint`.
        status: Result of its checks: `UP`, `DOWN`, `MAINT`, `DRAIN`.
        check: Last result of its check, e.g. `L7OK 200`; empty when it is not checked.
        address: Of the container, empty while its name is unknown.
        weight: Share of the requests against the others.
        configured: The weight that its configuration gives it.
        current: Requests being answered now.
        queued: Requests waiting.
        counters: What was counted since a slot began to get requests, or the proxy started: sessions, answers by
            class, errors, times.
    """

    service: str
    slot: str
    name: str
    told: str
    status: str
    check: str
    address: str
    weight: int
    configured: int
    current: int
    queued: int
    counters: dict[str, int]

    @property
    def alive(self) -> bool:
        """Whether its last check was good: a server that leaves maintenance counts as UP before its first one."""
        return self.check.startswith("L7OK") and self.status in ("UP", "DRAIN", "no check")


_COUNTED = (
    *("stot", "rate", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"),
    *("econ", "eresp", "wretr", "ttime", "rtime"),
)


def read(stat: str, states: str) -> list[Server]:
    """Return the servers of the slots.

    Args:
        stat: Answer of `show stat -1 4 -1`.
        states: Answer of `show servers state`: `show stat` says of a server that is down not what it was told.
    """
    orders = {(row["be_name"], row["srv_name"]): row for row in _table(states.splitlines()[1:])}
    rows = csv.DictReader(stat.lstrip("# ").splitlines())
    found = (_server(row, orders.get((row["pxname"], row["svname"]))) for row in rows)
    return [each for each in found if each]


def serving(servers: list[Server]) -> str:
    """Return the slot that gets requests of these servers: blue, green, `mixed` when both do, empty for none."""
    slots = {each.slot for each in servers if each.told == "ready"}
    return "mixed" if len(slots) > 1 else "".join(slots)


def _table(lines: list[str]) -> list[dict[str, str]]:
    names = lines[0].lstrip("# ").split()
    # Without `zip`: its `strict` is younger than Python 3.9, and without it a checker complains.
    rows = [line.split() for line in lines[1:] if line]
    return [{name: row[place] for place, name in enumerate(names[: len(row)])} for row in rows]


def _server(row: dict[str, str], order: dict[str, str] | None) -> Server | None:
    slot = row["svname"].rstrip("0123456789")
    if slot not in SLOTS or order is None:
        return None
    flags = int(order["srv_admin_state"])
    known = not flags & _UNRESOLVED and order["srv_addr"] != "-"
    return Server(
        service=row["pxname"],
        slot=slot,
        name=f"{row['pxname']}/{row['svname']}",
        told="maint" if flags & _MAINTENANCE else "drain" if flags & _DRAIN else "ready",
        status=row["status"],
        check=f"{row['check_status']} {row['check_code']}".strip(),
        address=order["srv_addr"] if known else "",
        weight=int(row["weight"] or 0),
        configured=int(order["srv_iweight"]),
        current=int(row["scur"]),
        queued=int(row["qcur"]),
        counters={name: int(row.get(name) or 0) for name in _COUNTED},
    )
