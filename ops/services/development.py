"""Plan the start and the stop of development servers."""

from __future__ import annotations

import sys

from ops.database import target
from ops.deploy import hostsetup
from ops.hosts import home, orphans, ports, supervisor
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.plan import Plan, Step
from ops.kernel.settings.models import Settings
from ops.services import names, running, servers, shutdown
from ops.setup import development as setup
from ops.setup import variables, workspace


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
    reasons = {name: each.why_start for name, each in found.items() if each.why_start}
    steps = _host(context)
    for name, reason in reasons.items():
        why = "" if reason == servers.NOT_RUNNING else f" ({reason})"
        steps.append(running.run.step(name, group="start", service=name, why=why))
    if not steps:
        done = f"{_listed(wanted)} {_run(wanted, 'runs', 'run')} already"
        return _plan("start", settings, [], nothing=done)
    for name in reasons:
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
    daemon, described = supervisor.daemon_of(context), workspace.services(settings)
    living = {each.name for each in daemon.programs()} | orphans.programs(home.of(settings))
    # One that was started and is gone, with its killed daemon, would come back with the next daemon.
    begun = {servers.group(name) for name in described if daemon.definition(servers.group(name))}
    there = sorted(
        name.removeprefix(servers.PREFIX)
        for name in living | begun
        if name.startswith(servers.PREFIX)
    )
    # A server that ops.toml has no more can still be stopped.
    known = list(dict.fromkeys([*described, *there]))
    wanted = [name for name in names.chosen(services, known, known) if name in there]
    steps = [running.halt.step(name, group="stop", service=name) for name in wanted]
    if not services:
        steps += shutdown.steps(context, {servers.group(name) for name in there})
    if not steps:
        idle = f"{_listed(services)} {_run(services, 'does not run', 'do not run')}"
        return _plan("stop", settings, [], nothing=idle if services else "nothing runs")
    return _plan("stop", settings, steps)


def _chosen(settings: Settings, services: list[str]) -> list[str]:
    known = list(workspace.services(settings))
    wanted = names.chosen(services, known, known)
    if not wanted:
        raise ConfigurationError(
            "ops.toml describes no development server",
            hint="add a [services.NAME] with command or development to ops.toml",
        )
    return wanted


def _plan(operation: str, settings: Settings, steps: list[Step], nothing: str = "") -> Plan:
    seen = {"steps": [each.title for each in steps]}
    target = f"the working tree {settings.app_folder}"
    return Plan(operation, settings.name, target, tuple(steps), seen, nothing=nothing)


def _listed(services: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(services[:-1]), *services[-1:]]))


def _run(services: list[str], one: str, several: str) -> str:
    return one if len(services) == 1 else several


def _host(context: Context) -> list[Step]:
    """Return the steps for daemon and database, when they do not run."""
    steps = [] if supervisor.daemon_of(context).running() else [hostsetup.daemon.step()]
    if variables.is_embedded(context):
        name = target.name(context)
        if not target.server_of(context).has_database(name):
            steps.append(target.server.step(id="database", name=name))
    return steps


def _refuse_taken_port(settings: Settings, server: servers.Server) -> None:
    """Refuse a port that another program has; a process of this very server is ended before it starts.

    Raises:
        ConfigurationError: Somebody else listens there.
    """
    port = settings.services[server.name].port
    own = server.runs or server.left_over or (server.state is not None and server.state.pid)
    if port is None or own or ports.is_free(port) or running.is_left_over(settings, server.name):
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
