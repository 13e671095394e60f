"""Logs of the containers on all hosts of an environment, as one story in the order of time."""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TextIO

from ops.hosts import machines
from ops.hosts.machine import Machine
from ops.kernel import report
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, ConnectionFailed, OpsError
from ops.kernel.report import Report
from ops.services import logs
from ops.setup import variables

WINDOW: Final = 0.5
"""Seconds that a line waits for an earlier one of another host or container."""
_ASKED: Final = 600.0
"""Seconds after which a host is asked anew: what we left behind there when our connection died ends by itself."""
_WAITING: Final = 1000
"""Lines that may wait for the screen; then the hosts wait."""
_AGAIN: Final = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Line:
    """A line that a container wrote.

    Args:
        time: When, in UTC, as Docker writes it.
        host: Where.
        service: Its service in the Compose file.
        slot: blue or green, empty for a service that is not switched.
        text: Without secrets and control characters.
    """

    time: str
    host: str
    service: str
    slot: str
    text: str


class _Reading:
    """What was read of one host: lines, and where to go on.

    Args:
        host: Its name.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.seen: dict[str, tuple[str, int]] = {}
        self.begin = ""
        self._rest = b""

    def begun(self) -> None:
        """Forget the half of a line that a broken connection left: it comes again, whole."""
        self._rest = b""

    def taken(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            words = raw.split(b" ", 4)
            if len(words) < 4:
                continue  # not a line of a container
            container, service, slot, moment = (each.decode() for each in words[:4])
            before = self.seen.get(container, ("", 0))
            self.seen[container] = (moment, before[1] + 1 if before[0] == moment else 1)
            text = logs.clean(words[4]) if len(words) > 4 else ""
            yield Line(moment, self.host, service, slot.strip("-"), text)


class Reader:
    """The logs that a person asked for; see `reading.Reader`.

    Args:
        context: Surroundings.
        services: Which ones, none for all.
        lines: How many of the last lines of each container, as it was typed.
        form: `text` or `json`.
        out: Where it will be shown: a terminal gets colours.
    """

    def __init__(
        self, context: Context, services: Sequence[str], lines: str, form: str, out: TextIO
    ) -> None:
        _hide_secrets(context)
        self._context = context
        self._machines = machines.of(context)
        self._asked = {"services": list(services), "lines": logs.count(lines)}
        self._json = form == "json"
        self._colours = report.colours(out)
        self._readings = {each.name: _Reading(each.name) for each in self._machines}
        self._width = 0
        self._order: list[str] = []

    def report(self) -> Report:
        """Return the last lines."""
        found, down = self._last()
        name = self._context.settings.name
        data = {"environment": name, "lines": [asdict(each) for each in found]}
        hints = [f"{error}" for error in down.values()]
        if not found:
            hints.append(f"inv status --env {name}")
            return Report(f"{name} has no such lines", hints=hints, data=data)
        return Report("", text="\n".join([*map(self._text, found), *hints]), data=data)

    def follow(self) -> Iterator[str]:
        """Yield the last lines, then each new one, for ever; as JSON one object for each line.

        Raises:
            OpsError: A host refuses. One whose connection is lost is asked again until it answers.
        """
        found, _ = self._last()
        yield from map(self._text, found)
        coming: queue.Queue[Line | OpsError] = queue.Queue(_WAITING)
        for machine in self._machines:
            threading.Thread(target=self._listen, args=(machine, coming), daemon=True).start()
        yield from map(self._text, _in_order(coming))

    def _last(self) -> tuple[list[Line], dict[str, OpsError]]:
        """Return the last lines of all hosts, and the errors of those that do not answer."""
        kept: dict[str, list[Line]] = {each.name: [] for each in self._machines}

        def read(machine: Machine) -> dict[str, Any]:
            reading, lines = self._readings[machine.name], kept[machine.name]
            asked = {"project": machine.place.project, **self._asked}
            return machine.stream(
                self._context, "logs.last", asked, lambda data: lines.extend(reading.taken(data))
            )

        outcome = self._machines.each(read)
        others = [e for e in outcome.failed.values() if not isinstance(e, ConnectionFailed)]
        if not outcome.done or others:
            outcome.complete()
        for name, told in outcome.done.items():
            self._readings[name].begin = told["now"]
        merged = list(heapq.merge(*kept.values(), key=lambda each: each.time))
        for line in merged:
            self._name(line)
        return merged, outcome.failed

    def _listen(self, machine: Machine, coming: queue.Queue[Line | OpsError]) -> None:
        """Pass on what a host says, for ever; a connection that was lost is made again."""
        reading, waits = self._readings[machine.name], iter(_AGAIN)
        patient = dataclasses.replace(self._context, deadline=Deadline(float("inf")))

        def told(data: bytes) -> None:
            nonlocal waits
            waits = iter(_AGAIN)
            for line in reading.taken(data):
                coming.put(line)

        while True:
            reading.begun()
            asked = {
                "project": machine.place.project,
                "services": self._asked["services"],
                "seen": reading.seen,
                "begin": reading.begin or _LONG_AGO,
                "seconds": _ASKED,
            }
            try:
                machine.stream(patient, "logs.follow", asked, told)
            except ConnectionFailed as error:
                pause = next(waits, _AGAIN[-1])
                if pause == _AGAIN[0]:
                    print(f"{error}; trying again", file=sys.stderr, flush=True)
                time.sleep(pause)
            except OpsError as error:
                coming.put(error)
                return

    def _text(self, line: Line) -> str:
        if self._json:
            return json.dumps(asdict(line))
        own = logs.Line(self._name(line), line.text)
        return logs.shown(own, self._width, self._order, self._colours)

    def _name(self, line: Line) -> str:
        """Return what stands before a line: the columns are as wide as the longest so far."""
        where = f"{line.host} " if len(self._machines) > 1 else ""
        name = f"{where}{line.service}{f' {line.slot}' if line.slot else ''}"
        if name not in self._order:
            self._order.append(name)
            self._width = max(self._width, len(name))
        return name


_LONG_AGO: Final = "1970-01-01T00:00:00.000000000Z"


def _in_order(coming: queue.Queue[Line | OpsError]) -> Iterator[Line]:
    """Yield lines in the order of time, as far as they come within `WINDOW` of each other."""
    held: list[tuple[str, int, float, Line]] = []
    for number in itertools.count():
        with contextlib.suppress(queue.Empty):
            item = coming.get(timeout=WINDOW / 5)
            if isinstance(item, OpsError):
                raise item
            heapq.heappush(held, (item.time, number, time.monotonic(), item))
        while held and (len(held) > _WAITING or time.monotonic() - held[0][2] > WINDOW):
            yield heapq.heappop(held)[3]


def _hide_secrets(context: Context) -> None:
    """Let the redactor know every value that the containers were given by reference."""
    variables.hide_known(context)
    chosen = context.settings.environment
    references = [*chosen.secrets.values(), chosen.database_url, chosen.migration_url]
    for service in context.settings.services.values():
        references += service.secrets.values()
    for reference in filter(None, references):
        with contextlib.suppress(ConfigurationError):  # somebody else's may be missing here
            context.secrets.resolve(reference)
