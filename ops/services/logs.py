"""The logs of services: their last lines in the order of time, and what comes after them."""

from __future__ import annotations

import contextlib
import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ops.database import server, target
from ops.deploy import places, releases
from ops.hosts import supervisor
from ops.kernel import redact
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Settings
from ops.services import deployed, names, servers
from ops.services.tail import Tail
from ops.setup import variables, workspace

MOST_LINES = 100_000
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)
_TIME_WITHIN = 200
# Cursor movements, titles and colours of programs that believe they write to a terminal (ECMA-48).
_CONTROLS = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])|[\x00-\x08\x0b-\x1f\x7f]"
)


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Args:
        service: Whose.
        text: Without secrets and control characters.
    """

    service: str
    text: str


def count(text: str) -> int:
    """Read `--lines`.

    Raises:
        ConfigurationError: It is no number of lines.
    """
    if not text.isdecimal() or len(text) > 6 or int(text) > MOST_LINES:
        raise ConfigurationError(
            f"--lines {text[:20]!r} is not a number from 0 to {MOST_LINES}", hint="--lines 50"
        )
    return int(text)


def sources(context: Context, services: Sequence[str]) -> dict[str, list[Path]]:
    """Return the log files of the services that were asked for, none for all of the application's.

    Args:
        context: Surroundings.
        services: Their names; also "postgres", and "proxy" where something is deployed.

    Raises:
        ConfigurationError: There is no such service.
    """
    settings = context.settings
    programs = _development(settings) if names.is_development(settings) else _deployed(settings)
    default = list(programs)
    if settings.database is not None:
        programs.setdefault(server.PROGRAM, [server.PROGRAM])
    if not names.is_development(settings):
        programs.setdefault("proxy", [deployed.proxy_group(settings)])
    daemon = supervisor.daemon_of(context)
    wanted = names.chosen(services, list(programs), default)
    _hide_secrets(context, [program for each in wanted for program in programs[each]])
    return {name: [daemon.log_path(program) for program in programs[name]] for name in wanted}


def _development(settings: Settings) -> dict[str, list[str]]:
    return {name: [servers.group(name)] for name in workspace.services(settings)}


def _deployed(settings: Settings) -> dict[str, list[str]]:
    """Return programs by service: one in each slot."""
    known = {name for each in releases.all_of(settings) for name in each.services} | set(
        settings.services
    )
    ordered = list(settings.services) + sorted(known - set(settings.services))
    return {
        name: [f"{places.group(settings, slot)}-{name}" for slot in places.SLOTS]
        for name in ordered
    }


def _hide_secrets(context: Context, programs: Sequence[str]) -> None:
    """Hide what ops.toml names, and what the processes were really started with: a shell may lack the variables."""
    settings = context.settings
    variables.hide_known(context)
    secret = {name for each in settings.services.values() for name in each.secrets}
    if settings.database is not None:
        secret.add(settings.database.variable)
        with contextlib.suppress(ConfigurationError):
            target.server_of(context).url(target.name(context))
    for program in programs:
        environment = supervisor.daemon_of(context).definition(program).get("environment", {})
        for name in secret & environment.keys():
            with contextlib.suppress(ValueError):
                context.secrets.redactor.add(environment[name])


class Logs:
    """Open logs: their lines until now, and those that come.

    Args:
        files: Logs by service; one that does not exist yet is read from its beginning once it does.
    """

    def __init__(self, files: Mapping[str, Sequence[Path]]) -> None:
        self._tails = {
            service: [(path, Tail(path)) for path in paths] for service, paths in files.items()
        }

    def __enter__(self) -> Self:
        """Use as a context: the files are closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for tails in self._tails.values():
            for _path, tail in tails:
                tail.close()

    def last(self, lines: int) -> list[Line]:
        """Return the last lines of each service, all together in the order of time as far as they tell it.

        A line without a time belongs to the one before it; a log without any time was written when its file was.
        """
        streams = []
        for service, tails in self._tails.items():
            timed = heapq.merge(
                *(_timed(path, tail.last(lines)) for path, tail in tails), key=_moment
            )
            streams.append(
                [(moment, Line(service, text)) for moment, text in [*timed][-lines:]]
                if lines
                else []
            )
        return [line for _, line in heapq.merge(*streams, key=_moment)]

    def new(self) -> list[Line]:
        """Return what was written since the last look."""
        return [
            Line(service, clean(raw))
            for service, tails in self._tails.items()
            for _, tail in tails
            for raw in tail.read()
        ]

    def unfinished(self) -> list[Line]:
        """Return lines without an end: the last words of a killed program."""
        return [
            Line(service, clean(tail.unfinished))
            for service, tails in self._tails.items()
            for _, tail in tails
            if tail.unfinished
        ]


def _moment(timed: tuple[float, object]) -> float:
    return timed[0]


def clean(raw: bytes) -> str:
    """Return a line without secrets and without what would move a terminal's cursor."""
    return _CONTROLS.sub("", redact.CENTRAL.text(raw.decode(errors="replace"))).expandtabs()


def shown(line: Line, width: int, services: Sequence[str], colours: bool) -> str:
    """Return a line with its service in front, in that service's colour."""
    prefix = f"{line.service:<{width}} |"
    if colours:
        prefix = f"\033[{_COLOURS[services.index(line.service) % len(_COLOURS)]}m{prefix}\033[0m"
    return f"{prefix} {line.text}"


def _timed(path: Path, raw: Sequence[bytes]) -> list[tuple[float, str]]:
    texts = [clean(each) for each in raw]
    known = [moment_of(text) for text in texts]
    written = path.stat().st_mtime if path.is_file() else 0.0
    moment = next((each for each in known if each is not None), written)
    timed = []
    for text, found in zip(texts, known, strict=True):
        # Never back: the order within a log stays.
        moment = max(moment, found) if found is not None else moment
        timed.append((moment, text))
    return timed


def moment_of(text: str) -> float | None:
    """Return the time that a line tells, in seconds since the epoch; a time without a zone is this machine's."""
    found = _TIME.search(text[:_TIME_WITHIN])
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}")
        if zone in ("Z", "UTC"):
            moment = moment.replace(tzinfo=UTC)
        elif zone:
            moment = datetime.strptime(
                f"{day}T{clock}{zone.replace(':', '')}", "%Y-%m-%dT%H:%M:%S%z"
            )
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{fraction or 0}")
