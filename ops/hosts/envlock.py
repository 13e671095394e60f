"""The lock of an environment: one run at a time, whatever its kind. Light, because a backup counts its memory."""

from __future__ import annotations

from ops.hosts import home
from ops.kernel.context import Context
from ops.kernel.lock import FileLock, Lock


def of(context: Context) -> Lock:
    """Return the lock of the environment, on its target."""
    if context.settings.environment.target == "compose":
        from ops.hosts import leases

        return leases.of(context)
    return FileLock(home.of(context.settings).environment(context.settings.name) / "lock")
