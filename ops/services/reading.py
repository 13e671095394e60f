"""Logs as text for a terminal or a pipe, or as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from ops.kernel import report
from ops.kernel.context import Context
from ops.kernel.report import Report
from ops.services import logs, names

if TYPE_CHECKING:
    from ops.services import container_logs as containers

POLL = 0.2
"""Seconds between two looks for new lines."""


def of(
    context: Context, services: Sequence[str], lines: str, form: str, out: TextIO
) -> Reader | containers.Reader:
    """Return the reader for where the environment runs; arguments as those of `Reader`."""
    if context.settings.environment.target == "compose":
        from ops.services import container_logs

        return container_logs.Reader(context, services, lines, form, out)
    return Reader(context, services, lines, form, out)


class Reader:
    """The logs that a person asked for.

    Args:
        context: Surroundings.
        services: Which ones, none for all.
        lines: How many of the last lines of each service, as it was typed.
        form: `text` or `json`.
        out: Where it will be shown: a terminal gets colours.
    """

    def __init__(
        self, context: Context, services: Sequence[str], lines: str, form: str, out: TextIO
    ) -> None:
        self._settings = context.settings
        self._count = logs.count(lines)
        self._files = logs.sources(context, services)
        self._names = list(self._files)
        self._width = max((len(name) for name in self._names), default=0)
        self._json = form == "json"
        self._colours = report.colours(out)

    def report(self) -> Report:
        """Return the last lines."""
        with logs.Logs(self._files) as opened:
            found = (
                [*opened.last(self._count), *opened.new(), *opened.unfinished()]
                if self._count
                else []
            )
        data = {"environment": self._settings.name, "lines": [asdict(each) for each in found]}
        if not found:
            own = "" if names.is_development(self._settings) else f" --env {self._settings.name}"
            return Report(
                f"{self._settings.name} has no such lines", hints=(f"inv status{own}",), data=data
            )
        return Report("", text="\n".join(map(self._text, found)), data=data)

    def follow(self) -> Iterator[str]:
        """Yield the last lines, then each new one, for ever; as JSON one object for each line."""
        with logs.Logs(self._files) as opened:
            yield from map(self._text, opened.last(self._count))
            while True:
                yield from map(self._text, opened.new())
                time.sleep(POLL)

    def _text(self, line: logs.Line) -> str:
        if self._json:
            return json.dumps(asdict(line))
        return logs.shown(line, self._width, self._names, self._colours)
