"""What goes last: PostgreSQL and the daemon, when nothing else of the project uses them."""

from __future__ import annotations

from ops.database import server
from ops.hosts import home, orphans, supervisor
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.plan import Step
from ops.kernel.steps import Done, step

_DAEMON = "supervisord"
_ENDED = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


def steps(context: Context, going: set[str]) -> list[Step]:
    """Return the step that ends PostgreSQL and the daemon, if only they are left.

    Args:
        context: Surroundings.
        going: Programs that are stopped before.
    """
    living = alive(context)
    return [shut_down.step()] if (living or going) and not _needed(living - going) else []


def alive(context: Context) -> set[str]:
    """Return every program of the project that has a process, whoever watches it."""
    return _active(context) | orphans.programs(home.of(context.settings))


def _active(context: Context) -> set[str]:
    return {
        each.name for each in supervisor.daemon_of(context).programs() if each.state not in _ENDED
    }


def _needed(programs: set[str]) -> set[str]:
    return programs - {server.PROGRAM, _DAEMON}


def _is_over(context: Context) -> Done | None:
    living = alive(context)
    if not living:
        return Done("nothing runs")
    others = _needed(living)
    return Done(f"still used by {', '.join(sorted(others))}") if others else None


@step(
    title="Stop PostgreSQL and the supervisor, which nothing else uses",
    limit=minutes(2),
    check=_is_over,
)
def shut_down(context: Context) -> None:
    """End the daemon with what it still runs; the data stays."""
    supervisor.daemon_of(context).shutdown()


def end_left_overs(context: Context, programs: set[str]) -> None:
    """End processes of programs that no daemon watches any more."""
    daemon = supervisor.daemon_of(context)
    orphans.end(home.of(context.settings), programs, daemon.stop_signal)
