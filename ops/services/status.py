"""What runs: one table for development servers and for a deployed environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from ops.database import server, target
from ops.deploy import health, observe, places, releases, shared
from ops.hosts import haproxy, home, orphans, supervisor
from ops.hosts.programs import ProgramState
from ops.kernel.context import Context
from ops.kernel.report import Report, Table
from ops.kernel.settings.models import Settings
from ops.services import deployed, names, servers
from ops.setup import variables, workspace

COLUMNS = ("service", "state", "slot", "release", "pid", "uptime", "address", "health")
PROBE = 3.0
"""Seconds for an answer."""
# supervisor's words, for a person.
_WORDS = {"BACKOFF": "restarting", "FATAL": "failed", "EXITED": "ended", "UNKNOWN": "unknown"}


@dataclass(frozen=True)
class Row:
    """A process of the application.

    Args:
        service: Its name in ops.toml, or postgres, or proxy.
        state: running, starting, stopped, restarting, stopping, ended, failed; left over: nobody watches it.
        slot: blue or green, empty in development.
        release: Release id, empty in development.
        pid: Its first process, 0 for none.
        uptime: Seconds since its start.
        address: Where it answers, empty for nowhere.
        health: `ok`, why not, or empty when there is nobody to ask.
    """

    service: str
    state: str
    slot: str = ""
    release: str = ""
    pid: int = 0
    uptime: float = 0.0
    address: str = ""
    health: str = ""


Probe = Callable[[], str]


def status(context: Context, services: Sequence[str] = ()) -> Report:
    """Report what runs; how it is stands in the table, the exit code is 0 all the same.

    Args:
        context: Surroundings.
        services: Only these, none for all.
    """
    settings = context.settings
    found = list(_development(context) if names.is_development(settings) else _deployed(context))
    known = list(dict.fromkeys(row.service for row, _ in found))
    wanted = set(names.chosen(services, known, known))
    rows = _probed([each for each in found if each[0].service in wanted])
    running = sum(row.state == "running" for row in rows)
    data = {"environment": settings.name, "services": [asdict(each) for each in rows]}
    hints = [] if running == len(rows) else [_hint(settings)]
    summary = f"{settings.name}: {running} of {len(rows)} running"
    return Report(summary, tables=(table(rows),), hints=hints, data=data)


def table(rows: Sequence[Row]) -> Table:
    """Return rows as a table; a column that nobody fills is left out."""
    cells = [
        (
            *(
                row.service,
                row.state,
                row.slot,
                row.release,
                str(row.pid or ""),
                uptime(row.uptime) if row.pid else "",
            ),
            *(shown_address(row.address), row.health),
        )
        for row in rows
    ]
    kept = [n for n, _ in enumerate(COLUMNS) if n < 2 or any(line[n] for line in cells)]
    return Table([COLUMNS[n] for n in kept], [[line[n] or "-" for n in kept] for line in cells])


def uptime(seconds: float) -> str:
    """Return a duration in its two largest units."""
    total = int(seconds)
    units = (
        ("d", total // 86400),
        ("h", total // 3600 % 24),
        ("min", total // 60 % 60),
        ("s", total % 60),
    )
    filled = [f"{count} {unit}" for unit, count in units if count]
    return " ".join(filled[:2]) or "0 s"


def shown_address(address: str) -> str:
    """Return an address as a URL that can be opened; a Unix socket as its path."""
    if address.startswith("unix@"):
        return address.removeprefix("unix@")
    return f"http://{address}" if address else ""


def _probed(found: Sequence[tuple[Row, Probe | None]]) -> list[Row]:
    """Ask everybody who runs at the same time."""

    def ask(each: tuple[Row, Probe | None]) -> Row:
        row, probe = each
        return replace(row, health=probe()) if probe is not None and row.state == "running" else row

    with ThreadPoolExecutor(max(1, len(found))) as pool:
        return list(pool.map(ask, found))


def _development(context: Context) -> Iterator[tuple[Row, Probe | None]]:
    settings = context.settings
    states = {each.name: each for each in supervisor.daemon_of(context).programs()}
    living = orphans.programs(home.of(settings))
    known = list(workspace.services(settings))
    # A server that ops.toml has no more may still run.
    gone = sorted(
        {name.removeprefix(servers.PREFIX) for name in states if name.startswith(servers.PREFIX)}
        - {*known}
    )
    for name in known:
        where = servers.address(settings, name)
        row = _row(name, servers.group(name), states, living, address=where)
        yield row, _server_probe(settings, name) if where else None
    for name in gone:
        yield replace(
            _row(name, servers.group(name), states, living), health="not in ops.toml"
        ), None
    if settings.database is not None and variables.is_embedded(context):
        yield _database(context, states, living)


def _server_probe(settings: Settings, name: str) -> Probe:
    def ask() -> str:
        status = servers.answer(settings, name, PROBE)
        return "ok" if 200 <= status < 400 else f"answers {status}" if status else "does not answer"

    return ask


def _deployed(context: Context) -> Iterator[tuple[Row, Probe | None]]:
    settings = context.settings
    now = observe.observe(context)
    states = {each.name: each for each in supervisor.daemon_of(context).programs()}
    living = orphans.programs(home.of(settings))
    proxy = deployed.proxy_group(settings)
    address = f"127.0.0.1:{settings.environment.port}"
    yield _row("proxy", proxy, states, living, release=now.release, address=address), None
    for slot in places.SLOTS:
        release = now.content(slot).release
        if not release or (slot != now.active and now.content(slot).stopped):
            continue
        known = releases.load(settings, release)
        for name in known.services:
            service = known.service(name)
            web = service.is_web or service.is_static
            where = places.address(settings, name, service, slot) if web else ""
            program = f"{places.group(settings, slot)}-{name}"
            row = _row(name, program, states, living, slot=slot, release=release, address=where)
            path = haproxy.STATIC_LIVE if service.is_static else service.health
            asked = health.HealthTarget(name, path, where, service.health_version, release)
            yield row, _health_probe(asked) if web else None
    if settings.database is not None and not target.is_external(context):
        yield _database(context, states, living)


def _health_probe(target: health.HealthTarget) -> Probe:
    def ask() -> str:
        found = health.probe(target, PROBE)
        return "ok" if found.ok else found.reason

    return ask


def _database(
    context: Context, states: dict[str, ProgramState], living: set[str]
) -> tuple[Row, Probe]:
    def ask() -> str:
        return "ok" if target.server_of(context).running() else "does not answer"

    return _row(server.PROGRAM, server.PROGRAM, states, living), ask


def _row(
    service: str,
    program: str,
    states: dict[str, ProgramState],
    living: set[str],
    slot: str = "",
    release: str = "",
    address: str = "",
) -> Row:
    state = states.get(program)
    if state is None:
        return Row(
            service, "left over" if program in living else "stopped", slot, release, address=address
        )
    word = _WORDS.get(state.state, state.state.lower())
    return Row(service, word, slot, release, state.pid, state.uptime_seconds, address)


def _hint(settings: Settings) -> str:
    return "inv start" if names.is_development(settings) else f"inv start --env {settings.name}"


def announce(report: Report, context: Context, services: Sequence[str] = ()) -> Report:
    """Add to the report of a start what runs now, and where its logs are."""
    if report.exit_code or report.status not in ("ok", "nothing"):
        return report
    settings = context.settings
    now = status(context, services)
    if not names.is_development(settings):
        address = shared.url(settings)
        return replace(
            report,
            tables=now.tables,
            facts={"address": address, **report.facts},
            data={**report.data, **now.data},
        )
    data = {**report.data, **now.data}
    return replace(report, tables=now.tables, hints=[*report.hints, "inv logs --follow"], data=data)
