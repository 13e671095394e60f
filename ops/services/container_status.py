"""What runs of an environment of containers: by host, service and slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ops.hosts import machines
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed
from ops.kernel.report import Report, Table
from ops.services import names

_COLUMNS: Final = ("host", "service", "state", "slot", "release", "health", "serves")


@dataclass(frozen=True)
class Row:
    """A container.

    Args:
        host: Where.
        service: Its service in the Compose file.
        state: As Docker has it; `unreachable` stands for a whole host.
        slot: blue or green, empty for a service that is not switched.
        release: Release in it.
        health: What its check says, empty without one.
        serves: Whether requests go to its slot.
    """

    host: str
    service: str
    state: str
    slot: str = ""
    release: str = ""
    health: str = ""
    serves: bool = False


def status(context: Context, services: Sequence[str] = ()) -> Report:
    """Report what runs; how it is stands in the table, the exit code is 0 all the same.

    Args:
        context: Surroundings.
        services: Only these, none for all.

    Raises:
        OpsError: No host answers.
    """
    settings = context.settings
    outcome = machines.of(context).each(
        lambda one: one.call(context, "look.observe", {"project": one.place.project}, reads=True)
    )
    down = {name: e for name, e in outcome.failed.items() if isinstance(e, ConnectionFailed)}
    if not outcome.done or len(down) < len(outcome.failed):
        outcome.complete()
    rows = [row for name, now in outcome.done.items() for row in _rows(name, now)]
    known = list(dict.fromkeys(each.service for each in rows))
    wanted = names.chosen(services, known, known)
    rows = [each for each in rows if each.service in wanted]
    running = sum(each.state == "running" for each in rows)
    rows += [Row(name, "", "unreachable") for name in down]
    cells = [
        (*(getattr(row, key) or "-" for key in _COLUMNS[:-1]), "yes" if row.serves else "-")
        for row in rows
    ]
    hints = [f"{name}: {error}" for name, error in down.items()]
    if not rows:
        hints.append(f"inv deploy --env {settings.name}")
    data = {"environment": settings.name, "services": [asdict(each) for each in rows]}
    summary = f"{settings.name}: {running} of {len(rows) - len(down)} running"
    tables = (Table(_COLUMNS, cells),) if rows else ()
    return Report(summary, tables=tables, hints=hints, data=data)


def _rows(host: str, now: Mapping[str, Any]) -> Iterator[Row]:
    for each in sorted(now["containers"], key=lambda one: (one["slot"] == "", one["service"])):
        slot = each["slot"]
        yield Row(
            host,
            each["service"].removesuffix(f"-{slot}") if slot else each["service"],
            each["state"],
            slot,
            each["release"],
            each["health"],
            bool(slot) and now["serving"] in (slot, "mixed"),
        )
