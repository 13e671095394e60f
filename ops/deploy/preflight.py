"""Before anything changes: is there room, is the port ours, are the tools there?"""

from __future__ import annotations

import shutil

from ops.deploy import finding, proxy
from ops.deploy.finding import HERE, Finding
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


def disk(settings: Settings) -> Finding:
    """Return whether there is room for a release here."""
    base = home.of(settings).path
    while not base.exists():
        base = base.parent
    free, needed = shutil.disk_usage(base).free, settings.environment.free_disk or MINIMUM_FREE
    words = f"{free // 1_000_000} MB free at {base}, {needed // 1_000_000} MB needed"
    if free >= needed:
        return finding.ok(HERE, "disk", words)
    return Finding(HERE, "disk", "wrong", words, f"df -h {base}")


def taken(settings: Settings, port: int) -> ConfigurationError:
    """Return the error for a port that somebody else has."""
    return ConfigurationError(
        f"port {port} is taken by another program",
        hint=f"set `port` of [environments.{settings.name}] in ops.toml, or look: ss -ltnp 'sport = :{port}'",
    )


@step(title="Check disk, port and git state", limit=30)
def check(context: Context, port: int) -> None:
    """Refuse early.

    Raises:
        OpsError: Too little free space.
        ConfigurationError: Somebody else listens on the port.
        DependencyError: git is missing.
    """
    settings = context.settings
    room = disk(settings)
    if room.state != "ok":
        raise OpsError(room.found, hint=room.hint)
    if not ports.is_free(port) and not proxy.listens(settings, port):
        raise taken(settings, port)
    if shutil.which("git") is None:
        raise DependencyError("git is missing", hint="apt-get install git")
