"""Before anything changes: is there room, is the port ours, are the tools there?"""

from __future__ import annotations

import shutil

from ops.deploy import proxy
from ops.hosts import home, ports
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError, OpsError
from ops.kernel.settings.models import Settings
from ops.kernel.steps import step

MINIMUM_FREE = 1_000_000_000
"""Bytes that must be free: wheels (473 MB), one environment and a release fit into it."""


def needed_tools(settings: Settings) -> list[str]:
    """Return the programs that this application needs here."""
    names = ["haproxy"]
    if settings.database is not None and not settings.environment.database_url:
        names.append("postgres")
    if any(
        "npm" in command or "node" in command
        for each in settings.services.values()
        for command in each.build
    ):
        names.append("node")
    return names


@step(title="Check disk, port and git state", limit=30)
def check(context: Context, port: int) -> None:
    """Refuse early.

    Raises:
        OpsError: Too little free space.
        ConfigurationError: Somebody else listens on the port.
        DependencyError: git is missing.
    """
    settings = context.settings
    base = home.of(settings).path
    while not base.exists():
        base = base.parent
    free = shutil.disk_usage(base).free
    if free < MINIMUM_FREE:
        raise OpsError(
            f"{free // 1_000_000} MB free at {base}, 1000 MB needed", hint=f"df -h {base}"
        )
    if not ports.is_free(port) and not proxy.listens(settings, port):
        raise ConfigurationError(
            f"port {port} is taken by another program",
            hint=f"set `port` of [environments.{settings.name}] in ops.toml, or look: ss -ltnp 'sport = :{port}'",
        )
    if shutil.which("git") is None:
        raise DependencyError("git is missing", hint="apt-get install git")
