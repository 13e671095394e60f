"""What the machine needs before a release: programs, the daemon, the database server. All of it stays."""

from __future__ import annotations

from ops.database import target
from ops.deploy import preflight
from ops.hosts import home, supervisor, tools
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.plan import Step
from ops.kernel.steps import Done, step


def steps(context: Context) -> list[Step]:
    """Return the steps that make this machine ready for the application."""
    settings = context.settings
    embedded = settings.database is not None and not target.is_external(context)
    needed = preflight.needed_tools(settings)
    return [
        daemon.step(),
        install_tools.step(names=needed),
        *([target.server.step(id="database", name=target.name(context))] if embedded else []),
    ]


def _is_up(context: Context) -> Done | None:
    return Done("runs already") if supervisor.daemon_of(context).running() else None


@step(title="Start the supervisor", limit=60, check=_is_up)
def daemon(context: Context) -> None:
    """Bring the daemon up; what a killed one left running is ended first."""
    supervisor.daemon_of(context).ensure()


def _are_there(context: Context, names: list[str]) -> Done | None:
    missing = tools.missing(home.of(context.settings), names)
    return None if missing else Done("found")


@step(title="Provide {names}", limit=minutes(10), check=_are_there, interruptible=True)
def install_tools(context: Context, names: list[str]) -> None:
    """Install programs from wheels into the project's home."""
    place = home.of(context.settings)
    tools.install(context, place, tools.missing(place, names))
