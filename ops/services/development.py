"""Start and stop development servers under the project's daemon."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from ops.deploy import gate, hostsetup, places
from ops.hosts import home, orphans, ports
from ops.hosts.supervisor import Daemon
from ops.kernel import files, redact
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, DependencyError, StepFailed
from ops.kernel.plan import Plan, Step
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step
from ops.services import names, servers, shutdown
from ops.setup import development as setup
from ops.setup import variables, workspace

BOOT = 60.0
"""Seconds that a server may take until it answers."""
DEATHS = 2
"""Ends after which a server is given up; one may lose a race with another at its start."""
_POLL = 0.1
_LINES = 15
_BYTES = 16 * 1024


@dataclass(frozen=True)
class Started:
    """A server that runs.

    Args:
        pid: Its first process.
    """

    pid: int


def start(context: Context, services: list[str]) -> Plan:
    """Plan to start development servers.

    Args:
        context: Surroundings.
        services: Which ones, none for all.

    Raises:
        ConfigurationError: An unknown service, or a port that somebody else has.
        DependencyError: The environment is not set up.
    """
    settings = context.settings
    wanted = _chosen(settings, services)
    if reason := setup.unfinished(context):
        raise DependencyError(
            f"{settings.name} is not set up: {reason}",
            hint=f"inv setup --env {workspace.DEVELOPMENT}",
        )
    servers.settle(context, wanted)
    found = servers.observe(context, wanted)
    why = {name: each.why_start for name, each in found.items() if each.why_start}
    steps = [
        *_host(context),
        *(run.step(name, group="start", service=name, why=why[name]) for name in why),
    ]
    if not steps:
        return _plan(
            "start",
            settings,
            [],
            nothing=f"{_listed(wanted)} {_run(wanted, 'runs', 'run')} already",
        )
    for name in why:
        _refuse_taken_port(settings, found[name])
        servers.program(context, name)  # a missing secret is found before anything is started
    return _plan("start", settings, steps)


def stop(context: Context, services: list[str]) -> Plan:
    """Plan to stop development servers; without names also what nothing else needs: PostgreSQL and the daemon.

    Args:
        context: Surroundings.
        services: Which ones, none for all.
    """
    settings = context.settings
    programs = places.daemon_of(context).programs()
    living = {each.name for each in programs} | orphans.programs(home.of(settings))
    there = sorted(
        name.removeprefix(servers.PREFIX) for name in living if name.startswith(servers.PREFIX)
    )
    # A server that ops.toml has no more can still be stopped.
    known = list(dict.fromkeys([*workspace.services(settings), *there]))
    wanted = [name for name in names.chosen(services, known, known) if name in there]
    steps = [halt.step(name, group="stop", service=name) for name in wanted]
    if not services:
        steps += shutdown.steps(context, {servers.group(name) for name in there})
    if not steps:
        return _plan(
            "stop",
            settings,
            [],
            nothing=(
                f"{_listed(services)} {_run(services, 'does not run', 'do not run')}"
                if services
                else "nothing runs"
            ),
        )
    return _plan("stop", settings, steps)


def _chosen(settings: Settings, services: list[str]) -> list[str]:
    known = list(workspace.services(settings))
    wanted = names.chosen(services, known, known)
    if not wanted:
        raise ConfigurationError(
            "ops.toml describes no development server",
            hint="add `command` or `development` to a [services.NAME]; inv setup makes a draft: inv init",
        )
    return wanted


def _plan(operation: str, settings: Settings, steps: list[Step], nothing: str = "") -> Plan:
    seen = {"steps": [each.title for each in steps]}
    return Plan(
        operation,
        settings.name,
        f"the working tree {settings.app_folder}",
        tuple(steps),
        seen,
        {},
        nothing,
    )


def _listed(services: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(services[:-1]), *services[-1:]]))


def _run(services: list[str], one: str, several: str) -> str:
    return one if len(services) == 1 else several


def _host(context: Context) -> list[Step]:
    """Return the steps for daemon and database, when they do not run."""
    settings = context.settings
    steps = [] if places.daemon_of(context).running() else [hostsetup.daemon.step()]
    if variables.is_embedded(context):
        name = gate.database_name(context)
        if not gate.server_of(context).has_database(name):
            steps.append(gate.server.step(id="database", name=name))
    return steps


def _refuse_taken_port(settings: Settings, server: servers.Server) -> None:
    """Refuse a port that another program has; a process of this very server is ended before it starts.

    Raises:
        ConfigurationError: Somebody else listens there.
    """
    port = settings.services[server.name].port
    own = server.runs or server.left_over or (server.state is not None and server.state.pid)
    if port is None or own or ports.is_free(port) or _is_left_over(settings, server.name):
        return
    look = (
        f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
        if sys.platform == "darwin"
        else f"ss -ltnp 'sport = :{port}'"
    )
    raise ConfigurationError(
        f"port {port} of {server.name} is taken by another program",
        hint=f"see who: {look}; or set `port` of [services.{server.name}] in ops.toml",
    )


def _is_left_over(settings: Settings, name: str) -> bool:
    return bool(orphans.find(home.of(settings), {servers.group(name)}))


def _is_up(context: Context, service: str, why: str) -> Done | None:
    return (
        Done("runs already") if not servers.observe(context, [service])[service].why_start else None
    )


def _halt_again(context: Context, result: object, service: str, why: str) -> None:
    _end(context, service)


@step(
    title="Start {service} ({why})",
    limit=minutes(2),
    check=_is_up,
    undo=_halt_again,
    interruptible=True,
)
def run(context: Context, service: str, why: str) -> Started:
    """Start a server and wait until it answers on its port.

    Args:
        context: Surroundings.
        service: Its name.
        why: Why it has to be started, for a person.

    Raises:
        StepFailed: It ends again and again, or it does not answer; the end of its log is the reason.
    """
    settings, daemon, group = context.settings, places.daemon_of(context), servers.group(service)
    if servers.observe(context, [service])[service].runs:
        daemon.remove(group)
    files.remove(servers.socket(settings, service))
    begin = _size(daemon, group)
    daemon.add(group, [servers.program(context, service)])
    return _wait(context, service, begin)


def _wait(context: Context, service: str, begin: int) -> Started:
    daemon, group = places.daemon_of(context), servers.group(service)
    limit = context.within(BOOT).deadline
    starts: set[int] = set()
    while True:
        state = next((each for each in daemon.programs() if each.name == group), None)
        starts |= {state.started} if state is not None and state.started else set()
        if state is None or state.state == "FATAL" or len(starts) > DEATHS:
            raise _failure(daemon, service, "does not stay up", begin)
        if state.state == "RUNNING" and servers.answer(context.settings, service):
            return Started(state.pid)
        if limit.remaining() <= 0:
            where = servers.address(context.settings, service)
            raise _failure(
                daemon, service, f"does not answer at {where} within {limit.seconds:g} s", begin
            )
        context.deadline.check(f"starting {service}")
        context.progress("waits for its answer" if state.state == "RUNNING" else "comes up")
        time.sleep(_POLL)


def _failure(daemon: Daemon, service: str, what: str, begin: int) -> StepFailed:
    path = daemon.log_path(servers.group(service))
    text = b""
    if path.is_file():
        with path.open("rb") as stream:
            end = os.fstat(stream.fileno()).st_size
            # A log that is shorter than before was rotated.
            stream.seek(max(begin if end >= begin else 0, end - _BYTES))
            text = stream.read()
    lines = redact.CENTRAL.text(text.decode(errors="replace")).splitlines()[-_LINES:]
    why = (
        "its log ends with\n" + "\n".join(f"  {line}" for line in lines)
        if lines
        else "it wrote nothing"
    )
    return StepFailed(f"{service} {what}", why=why, hint=f"inv logs --service {service}")


def _size(daemon: Daemon, program: str) -> int:
    path = daemon.log_path(program)
    return path.stat().st_size if path.is_file() else 0


def _is_stopped(context: Context, service: str) -> Done | None:
    group = servers.group(service)
    known = any(each.group == group for each in places.daemon_of(context).programs())
    return None if known or _is_left_over(context.settings, service) else Done("does not run")


@step(title="Stop {service}", limit=60, check=_is_stopped)
def halt(context: Context, service: str) -> None:
    """Stop a server with all of its processes, also those that a killed parent or daemon left behind."""
    _end(context, service)


def _end(context: Context, service: str) -> None:
    places.daemon_of(context).remove(servers.group(service))
    shutdown.end_left_overs(context, {servers.group(service)})
    files.remove(servers.socket(context.settings, service))
