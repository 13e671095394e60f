"""start, stop, status, logs: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report

_SERVICE = {"service": "Only this service; may be repeated (default: all)."}


@task(level=WRITE, kind="setup", help=_SERVICE, iterable=["service"])
def start(call: Invocation, service: list[str] | None = None) -> Report:
    """Start the development servers, with reload; with --env a stopped environment.

    Waits until each web service answers. A server whose settings have changed, or that does not answer, is
    started again. PostgreSQL and the supervisor are started when they do not run.
    """
    from ops.services import deployed, development, names, status
    from ops.setup.development import lock

    call.settings = names.settings_of(call.options.env)
    names.refuse_containers(call.settings, "start")
    plan = development.start if names.is_development(call.settings) else deployed.start
    report = call.operate(plan, lock=lock, services=service or [])
    return status.announce(report, call.context(), service or [])


@task(level=WRITE, kind="setup", help=_SERVICE, iterable=["service"])
def stop(call: Invocation, service: list[str] | None = None) -> Report:
    """Stop the development servers; with --env a deployed environment: its proxy and its slots.

    Without --service PostgreSQL and the supervisor end as well, unless something else of the project still uses
    them. Data, releases and logs stay; `inv start` brings everything back.
    """
    from ops.services import deployed, development, names
    from ops.setup.development import lock

    call.settings = names.settings_of(call.options.env)
    names.refuse_containers(call.settings, "stop")
    plan = development.stop if names.is_development(call.settings) else deployed.stop
    return call.operate(plan, lock=lock, services=service or [])


@task(level=READ, kind="verification", help=_SERVICE, iterable=["service"], limited=True)
def status(call: Invocation, service: list[str] | None = None) -> Report:
    """Show what runs: state, slot, release, process, address, health; with --env of a deployed environment.

    The exit code is 0 whatever the states are; they are in the table and in the JSON.
    """
    from ops.services import names
    from ops.services import status as services

    call.settings = names.settings_of(call.options.env, call.options.hosts)
    if call.settings.environment.target == "compose":
        from ops.services import container_status

        return container_status.status(call.context(), service or [])
    return services.status(call.context(), service or [])


@task(
    level=READ,
    kind="verification",
    limited=True,
    help={
        "service": "Only this service, or postgres, or with --env proxy; may be repeated (default: all services).",
        "follow": "Show new lines until Ctrl-C.",
        "lines": "How many of the last lines of each service, or container (default: 50).",
    },
    iterable=["service"],
)
def logs(
    call: Invocation, service: list[str] | None = None, follow: bool = False, lines: str = "50"
) -> Report | None:
    """Show the logs of the development servers together; with --env those of a deployed environment.

    Of containers on hosts: merged by time, with host, service and slot in front; a lost connection is made again.
    """
    from ops.services import names, reading

    call.settings = names.settings_of(call.options.env, call.options.hosts)
    reader = reading.of(call.context(), service or [], lines, call.format, call.out)
    if not follow:
        return reader.report()
    try:
        for text in reader.follow():
            print(text, file=call.out, flush=True)
    except KeyboardInterrupt:
        return None  # how a person ends it
    return None
