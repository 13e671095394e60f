"""Development servers: what each is started with, and what is true of it now. Everything here only looks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.hosts import home, http, orphans, supervisor
from ops.hosts.account import Account
from ops.hosts.polling import wait_for
from ops.hosts.programs import Program, ProgramState
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed
from ops.kernel.settings.models import Settings
from ops.setup import variables

PREFIX = "development."
"""Begins the name of each server's group and program; a dot, which no environment and no service can have."""
STOP_SECONDS = 10.0
"""Longest time to end: nobody waits for requests of a development server."""
ANSWER_SECONDS = 3.0
NOT_RUNNING = "not running"
SETTLE_SECONDS = 3.0
_PASSING = {"STARTING", "STOPPING", "EXITED", "BACKOFF"}
# A shell's own values: a server is not restarted because another terminal has another PATH.
_OF_THE_SHELL = ("PATH", "HOME", "LANG", "TZ")


@dataclass(frozen=True)
class Server:
    """What is true of a development server.

    Args:
        name: The service.
        state: The daemon's answer, None when it does not know it.
        left_over: Whether processes of it live that no daemon watches.
        current: Whether it was started with what is written now.
        status: HTTP status of its answer, 0 for none, -1 for one that answers nobody by nature.
    """

    name: str
    state: ProgramState | None
    left_over: bool
    current: bool
    status: int

    @property
    def runs(self) -> bool:
        """Whether the daemon says that it runs."""
        return self.state is not None and self.state.state == "RUNNING"

    @property
    def why_start(self) -> str:
        """Why it has to be started, empty when it is as it should be."""
        # What a killed daemon left over may end at any moment: it counts as not running.
        if not self.runs:
            return NOT_RUNNING
        if not self.current:
            return "its settings have changed"
        return "" if self.status else "it does not answer"


def group(service: str) -> str:
    """Return the name of a server's group and program in the daemon."""
    return f"{PREFIX}{service}"


def address(settings: Settings, name: str) -> str:
    """Return where a server listens: `unix@/path`, a URL's `localhost:port`, or nothing.

    By name: a development server may listen on 127.0.0.1 or on ::1 only.
    """
    service = settings.services[name]
    if "{socket}" in service.development:
        return f"unix@{socket(settings, name)}"
    return f"localhost:{service.port}" if service.port is not None else ""


def socket(settings: Settings, name: str) -> Path:
    """Return the Unix socket of a server that listens on one."""
    return home.of(settings).sockets / f"dev-{name}.sock"


def program(context: Context, name: str) -> Program:
    """Describe the process of a server, with its secrets.

    As root it runs as root: the working tree often lies below a home that the service user cannot enter, and what a
    server writes there (caches, node_modules/.vite) has to stay the developer's. PostgreSQL stays unprivileged.
    """
    settings = context.settings
    service = settings.services[name]
    filled = service.development.format(socket=socket(settings, name), port=service.port)
    return Program(
        name=group(name),
        argv=shlex.split(filled),
        cwd=settings.app_folder / service.directory,
        environment=variables.of_service(context, name, variables.database_url(context)),
        stop_seconds=min(service.stop_timeout, STOP_SECONDS),
        account=Account("root", 0, 0) if os.geteuid() == 0 else None,
    )


def settle(context: Context, names: list[str]) -> None:
    """Wait a moment for servers that the daemon is bringing back: a plan made now would be out of date at once."""
    daemon, programs = supervisor.daemon_of(context), {group(name) for name in names}

    def settled() -> bool:
        return not any(
            each.name in programs and each.state in _PASSING for each in daemon.programs()
        )

    wait_for(settled, context.within(SETTLE_SECONDS).deadline, every=0.1)


def observe(context: Context, names: list[str]) -> dict[str, Server]:
    """Look at servers: what the daemon says, what they were started with, whether they answer."""
    settings = context.settings
    states = {each.name: each for each in supervisor.daemon_of(context).programs()}
    living = set() if states else orphans.programs(home.of(settings))
    found = {}
    for name in names:
        state = states.get(group(name))
        runs = state is not None and state.state == "RUNNING"
        found[name] = Server(
            name=name,
            state=state,
            left_over=group(name) in living,
            current=runs and _is_current(context, name),
            status=answer(settings, name) if runs else 0,
        )
    return found


def answer(settings: Settings, name: str, timeout: float = ANSWER_SECONDS) -> int:
    """Ask a server; return the HTTP status, 0 when it does not answer, -1 when there is nobody to ask."""
    service, where = settings.services[name], address(settings, name)
    if not where:
        return -1
    path = service.health if service.is_web else "/"
    try:
        if where.startswith("unix@"):
            return http.get(
                f"http://localhost{path}", unix_socket=socket(settings, name), timeout=timeout
            ).status
        return http.get(f"http://{where}{path}", timeout=timeout).status
    except ConnectionFailed:
        return 0


def _is_current(context: Context, name: str) -> bool:
    expected = program(context, name)
    written = supervisor.daemon_of(context).definition(group(name))
    wanted = {
        "argv": list(expected.argv),
        "cwd": str(expected.cwd),
        "environment": dict(expected.environment),
    }
    return _without_shell(wanted) == _without_shell({key: written.get(key) for key in wanted})


def _without_shell(definition: Mapping[str, Any]) -> dict[str, Any]:
    ignored = (*_OF_THE_SHELL, orphans.VARIABLE)
    environment = definition["environment"] or {}
    return {
        **definition,
        "environment": {key: each for key, each in environment.items() if key not in ignored},
    }
