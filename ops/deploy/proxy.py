"""The front proxy of an environment: which slot it routes to is the truth; switching is one short step."""

from __future__ import annotations

from pathlib import Path

from ops.deploy import places, releases
from ops.hosts import account, haproxy, home, runner, supervisor, tools
from ops.hosts.supervisor import Program
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import DependencyError, StepFailed
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step

RELOAD = 10.0
"""Seconds until a reloaded proxy answers on its socket."""


def of(settings: Settings) -> haproxy.Proxy:
    """Return the driver of the environment's proxy."""
    return haproxy.Proxy(_admin_socket(settings))


def serving(settings: Settings) -> str:
    """Return the slot that gets traffic: blue, green, `mixed`, or empty for none.

    A running proxy answers; for a stopped one it is what its file says, because it would come back so.
    """
    driver = of(settings)
    if driver.running():
        return driver.active_slot() or ""
    return comes_back(settings)


def comes_back(settings: Settings) -> str:
    """Return the slot that a proxy which restarts would serve, empty for none."""
    path = _file(settings)
    return haproxy.active_in(path.read_text()) if path.is_file() else ""


def listens(settings: Settings, port: int) -> bool:
    """Say whether a port is taken by the environment's own proxy."""
    path = _file(settings)
    bound = path.is_file() and f"bind 127.0.0.1:{port}\n" in path.read_text()
    return bound and of(settings).running()


def routing(
    settings: Settings, release: releases.Release, active: str, port: int = 0
) -> haproxy.Routing:
    """Describe the routes of a release's services, with one slot active.

    Args:
        settings: Of the environment.
        release: Its services.
        active: The slot that serves, empty for none.
        port: Where the proxy listens, that of the settings when 0.
    """
    backends = []
    for name in release.services:
        described = release.service(name)
        if not (described.is_web or described.is_static):
            continue
        servers = {slot: places.address(settings, name, described, slot) for slot in places.SLOTS}
        live = haproxy.STATIC_LIVE if described.is_static else described.live
        backends.append(haproxy.Backend(name, tuple(described.route or ("/",)), live, servers))
    return haproxy.Routing(
        name=f"{settings.app.name}-{settings.name}",
        bind=f"127.0.0.1:{port or settings.environment.port}",
        admin_socket=_admin_socket(settings),
        backends=tuple(backends),
        active=active or None,
    )


def up_to_date(settings: Settings, release: releases.Release) -> bool:
    """Say whether the proxy runs with the routes of this release."""
    driver = of(settings)
    return driver.running() and driver.structure() == haproxy.structure_digest(
        routing(settings, release, "")
    )


def _is_up(context: Context, release: str, before: str) -> Done | None:
    return Done("runs already") if of(context.settings).running() else None


def _take_down(context: Context, result: object, release: str, before: str) -> None:
    if not before:
        supervisor.daemon_of(context).remove(_group(context.settings))
        files.remove(_file(context.settings))


@step(title="Start the proxy", limit=minutes(1), check=_is_up, undo=_take_down)
def ensure(context: Context, release: str, before: str) -> None:
    """Bring HAProxy up with the routes of what serves now; those of the new release come with the switch.

    Args:
        context: Surroundings.
        release: The new release, whose routes it starts with when nothing serves yet.
        before: The slot that serves now, empty for none.
    """
    settings = context.settings
    active = serving(settings)
    routes = _routes_of(settings, before, active)
    routes = routes or routing(settings, releases.load(settings, release), active)
    _check(context, routes)
    _write(settings, haproxy.render(routes))
    argv = haproxy.command(_binary(settings), _file(settings), _admin_socket(settings))
    # SIGUSR1 ends HAProxy after its requests (management guide, chapter 4).
    program = Program(
        _group(settings), argv, _file(settings).parent, {}, stop_signal="USR1", stop_seconds=30
    )
    supervisor.daemon_of(context).add(_group(settings), [program])
    of(settings).wait_answering(context.within(RELOAD).deadline)


def _routes_to(context: Context, slot: str, release: str, before: str) -> Done | None:
    settings = context.settings
    done = serving(settings) == slot and up_to_date(settings, releases.load(settings, release))
    return Done(f"routes to {slot} already") if done else None


def _switch_back(context: Context, result: object, slot: str, release: str, before: str) -> None:
    settings = context.settings
    driver = of(settings)
    routes = _routes_of(settings, before, before)
    if routes is None:
        _write(settings, haproxy.render(routing(settings, releases.load(settings, release), "")))
    else:
        _refuse_dead(context, before)
        if not driver.running():  # it comes back as its file says
            _write(settings, haproxy.render(routes))
        elif not _still_routes_to(settings, before):
            _route(context, routes, before, slot)
    if driver.running():
        driver.maintenance(slot)


def _still_routes_to(settings: Settings, slot: str) -> bool:
    """Say whether a failed switch changed nothing: then a full disk must not spoil its undo."""
    path, driver = _file(settings), of(settings)
    text = path.read_text() if path.is_file() else ""
    return haproxy.active_in(text) == driver.active_slot() == slot and driver.structure() in text


def _refuse_dead(context: Context, slot: str) -> None:
    group = places.group(context.settings, slot)
    states = [
        each.state for each in supervisor.daemon_of(context).programs() if each.group == group
    ]
    if not states or any(state != "RUNNING" for state in states):
        raise StepFailed(f"slot {slot} does not run, traffic stays where it is")


@step(title="Switch traffic to slot {slot}", limit=minutes(1), check=_routes_to, undo=_switch_back)
def switch(context: Context, slot: str, release: str, before: str) -> None:
    """Send traffic to a slot; new requests go there at once, those of the other slot end where they are.

    Args:
        context: Surroundings.
        slot: The slot that gets the traffic.
        release: The release in it.
        before: The slot that had it, empty for none.

    Source: HAProxy management guide, 9.3, "set server". The file is rewritten first, so that a proxy that is
    restarted in between comes back with the new slot.
    """
    routes = routing(context.settings, releases.load(context.settings, release), slot)
    _route(context, routes, slot, before or places.other(slot))


def _routes_of(settings: Settings, slot: str, active: str) -> haproxy.Routing | None:
    """Return the routes as they were when a slot was filled, None for an empty one."""
    there = releases.in_slot(settings, slot) if slot else None
    return routing(settings, there.release, active, there.port) if there else None


def _route(context: Context, routes: haproxy.Routing, slot: str, away: str) -> None:
    """Route to `slot`; other services or routes need a reload, which brings slot and routes at the same moment."""
    settings = context.settings
    driver = of(settings)
    if driver.structure() != haproxy.structure_digest(routes):
        _check(context, routes)
        _write(settings, haproxy.render(routes))
        driver.reload(haproxy.structure_digest(routes), context.within(RELOAD).deadline)
        driver.wait_up(slot, context.deadline)
        return
    _write(settings, haproxy.render(routes))
    driver.ready(slot)
    driver.wait_up(slot, context.deadline)
    driver.drain(away)


def _check(context: Context, routes: haproxy.Routing) -> None:
    with files.scratch() as folder:
        files.write(folder / "haproxy.cfg", haproxy.render(routes))
        command = haproxy.check_command(_binary(context.settings), folder / "haproxy.cfg")
        haproxy.check_config(runner.run(context, command, reads=True, check=False))


def _binary(settings: Settings) -> Path:
    binary = tools.find(home.of(settings), "haproxy")
    if binary is None:
        raise DependencyError("haproxy is missing", hint="apt-get install haproxy")
    return binary


def drain(context: Context, slot: str, seconds: float) -> None:
    """Wait until a slot has no request left, close what is still open after `seconds`, then take it out."""
    driver = of(context.settings)
    if not driver.running():
        return
    driver.drain(slot)
    # A worker from before a reload stays until its idle clients have asked once more.
    patience = max(seconds, haproxy.KEEP_ALIVE_SECONDS + 2)
    if not driver.wait_idle(slot, context.within(patience).deadline):
        context.note(f"requests of slot {slot} did not end within {seconds:g} s")
        driver.close_sessions(slot)
    driver.maintenance(slot)


def take_out(context: Context, slot: str) -> None:
    """Make sure that a slot gets no traffic before it is changed.

    Raises:
        StepFailed: It is the only slot that serves.
    """
    active = serving(context.settings)
    if active == slot:
        raise StepFailed(
            f"slot {slot} serves", hint="run the deploy again, it will choose the other slot"
        )
    drain(context, slot, 35.0)


def _write(settings: Settings, text: str) -> None:
    user = account.lookup()
    files.make_folder(_file(settings).parent, mode=0o755 if user else 0o700)
    files.write(_file(settings), text, mode=0o644 if user else 0o600)


def _file(settings: Settings) -> Path:
    return home.of(settings).environment(settings.name) / "proxy" / "haproxy.cfg"


def _admin_socket(settings: Settings) -> Path:
    return home.of(settings).sockets / f"{settings.name}-proxy.sock"


def _group(settings: Settings) -> str:
    return f"{settings.name}-proxy"
