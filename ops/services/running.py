"""The steps that start and stop a development server under the project's daemon."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from ops.hosts import home, orphans, supervisor
from ops.hosts.supervisor import Daemon
from ops.kernel import files, redact
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step
from ops.services import servers, shutdown

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


def is_left_over(settings: Settings, name: str) -> bool:
    """Say whether processes of a server live, whoever watches them."""
    return bool(orphans.find(home.of(settings), {servers.group(name)}))


def _is_up(context: Context, service: str, why: str) -> Done | None:
    return (
        Done("runs already") if not servers.observe(context, [service])[service].why_start else None
    )


def _halt_again(context: Context, result: object, service: str, why: str) -> None:
    _end(context, service)


@step(
    title="Start {service}{why}",
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
        why: Why although it runs, for a person: the end of the title.

    Raises:
        StepFailed: It ends again and again, or it does not answer; the end of its log is the reason.
    """
    settings, daemon, group = (
        context.settings,
        supervisor.daemon_of(context),
        servers.group(service),
    )
    if servers.observe(context, [service])[service].runs:
        daemon.remove(group)
    files.remove(servers.socket(settings, service))
    begin = _size(daemon, group)
    daemon.add(group, [servers.program(context, service)])
    return _wait(context, service, begin)


def _wait(context: Context, service: str, begin: int) -> Started:
    daemon, group = supervisor.daemon_of(context), servers.group(service)
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
    daemon, group = supervisor.daemon_of(context), servers.group(service)
    known = daemon.definition(group) or any(each.group == group for each in daemon.programs())
    return None if known or is_left_over(context.settings, service) else Done("does not run")


@step(title="Stop {service}", limit=60, check=_is_stopped)
def halt(context: Context, service: str) -> None:
    """Stop a server with all of its processes, also those that a killed parent or daemon left behind."""
    _end(context, service)


def _end(context: Context, service: str) -> None:
    supervisor.daemon_of(context).remove(servers.group(service))
    shutdown.end_left_overs(context, {servers.group(service)})
    files.remove(servers.socket(context.settings, service))
