"""Stop a deployed environment and start it again as it was: the slot that serves, behind its proxy."""

from __future__ import annotations

from ops.database import target
from ops.deploy import hostsetup, observe, places, preflight, shared, verify
from ops.hosts import home, orphans, supervisor
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, StepFailed
from ops.kernel.plan import Plan, Step
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step
from ops.services import shutdown


def start(context: Context, services: list[str]) -> Plan:
    """Plan to start the release that served last.

    Raises:
        ConfigurationError: Nothing was deployed, or single services were named.
    """
    settings = context.settings
    _refuse_names(settings, services)
    now = observe.observe(context)
    release = now.content(now.active).release
    if now.active not in places.SLOTS or not release:
        raise ConfigurationError(
            f"{settings.name} has no release that could be started",
            hint=f"inv deploy --env {settings.name}",
        )
    if now.daemon and now.proxy and now.content(now.active).running:
        return _plan("start", settings, [], nothing=f"{release} serves on {shared.url(settings)}")
    embedded = settings.database is not None and not target.is_external(context)
    steps = [
        preflight.check.step(port=settings.environment.port),
        hostsetup.daemon.step(),
        *([target.server.step(id="database", name=target.name(context))] if embedded else []),
        raise_group.step("slot", group_name=places.group(settings, now.active)),
        verify.ready.step(slot=now.active, release=release),
        raise_group.step("proxy", group_name=proxy_group(settings)),
        verify.served.step(release=release),
    ]
    return _plan("start", settings, steps, release, seen=now.seen())


def stop(context: Context, services: list[str]) -> Plan:
    """Plan to stop the proxy and the slots; then what nothing else needs: PostgreSQL and the daemon.

    Raises:
        ConfigurationError: Single services were named.
    """
    settings = context.settings
    _refuse_names(settings, services)
    alive = shutdown.alive(context)
    going = {group: _programs(settings, group, alive) for group in _groups(settings)}
    programs = set().union(*going.values())
    if programs and not supervisor.daemon_of(context).running():
        # What a killed daemon left over may end at any moment: the plan must not depend on it.
        going = {group: found or _described(context, group) for group, found in going.items()}
    steps = [
        halt_group.step(group, id="stop", group_name=group)
        for group, found in going.items()
        if found
    ]
    if not steps:
        return _plan("stop", settings, [], nothing=f"{settings.name} does not run")
    steps += shutdown.steps(context, programs)
    release = observe.observe(context).release
    return _plan(
        "stop", settings, steps, release, seen={"groups": sorted(filter(going.get, going))}
    )


def _groups(settings: Settings) -> list[str]:
    return [proxy_group(settings), *(places.group(settings, slot) for slot in places.SLOTS)]


def _described(context: Context, group: str) -> set[str]:
    """Return the programs of a group that the daemon's files know."""
    settings = context.settings
    names = [group, *(f"{group}-{name}" for name in settings.services)]
    return {name for name in names if supervisor.daemon_of(context).definition(name)}


def proxy_group(settings: Settings) -> str:
    """Return the name of the proxy's group and program in the daemon."""
    return f"{settings.name}-proxy"


def _programs(settings: Settings, group: str, alive: set[str]) -> set[str]:
    """Return the living programs of a group, also when no daemon watches them."""
    if group == proxy_group(settings):
        return {group} & alive
    return {name for name in alive if name.startswith(f"{group}-")}


def _refuse_names(settings: Settings, services: list[str]) -> None:
    if services:
        raise ConfigurationError(
            f"{settings.name} is deployed: it starts and stops as a whole",
            hint="leave out --service",
        )


def _plan(
    operation: str,
    settings: Settings,
    steps: list[Step],
    release: str = "",
    seen: object = None,
    nothing: str = "",
) -> Plan:
    target = f"{settings.environment.target} processes of {settings.app.name}"
    summary = {"release": release, "address": shared.url(settings)} if release else {}
    return Plan(operation, settings.name, target, tuple(steps), {"seen": seen}, summary, nothing)


def _is_up(context: Context, group_name: str) -> Done | None:
    states = [
        each.state for each in supervisor.daemon_of(context).programs() if each.group == group_name
    ]
    return Done("runs already") if states and set(states) == {"RUNNING"} else None


@step(title="Start {group_name}", limit=minutes(2), check=_is_up)
def raise_group(context: Context, group_name: str) -> None:
    """Start the processes of a group with what they were deployed with.

    Raises:
        StepFailed: The daemon does not know them any more, or one of them does not stay up.
    """
    daemon = supervisor.daemon_of(context)
    if not any(each.group == group_name for each in daemon.programs()):
        name = context.settings.name
        raise StepFailed(
            f"{group_name} is not there any more", hint=f"inv deploy --env {name} makes it again"
        )
    daemon.start(group_name)
    daemon.wait_running(group_name)


def _is_down(context: Context, group_name: str) -> Done | None:
    # Without a daemon it has to be written down that the group stays stopped.
    if not supervisor.daemon_of(context).running():
        return None
    alive = _programs(context.settings, group_name, shutdown.alive(context))
    return None if alive else Done("does not run")


def _raise_again(context: Context, result: object, group_name: str) -> None:
    if supervisor.daemon_of(context).running():
        raise_group(context, group_name)


@step(title="Stop {group_name}", limit=minutes(2), check=_is_down, undo=_raise_again)
def halt_group(context: Context, group_name: str) -> None:
    """Stop the processes of a group; they stay stopped until `inv start` or a deploy."""
    living = _programs(context.settings, group_name, orphans.programs(home.of(context.settings)))
    supervisor.daemon_of(context).stop(group_name)
    shutdown.end_left_overs(context, living)
