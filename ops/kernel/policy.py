"""Who may do what where, and how a person says yes.

A guard rail, not the boundary: the boundary is who holds the credentials (DESIGN.md 7).
"""

from __future__ import annotations

import sys

from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.invocation import Options
from ops.kernel.plan import Plan
from ops.kernel.settings.models import Settings
from ops.kernel.task import Level


def permit(level: Level, task: str, settings: Settings) -> None:
    """Check the environment's cap.

    Raises:
        NotPermitted: The task's level is above it.
    """
    cap = Level[settings.environment.level.upper()]
    if level > cap:
        raise NotPermitted(
            f"{task} needs level {level.name.lower()}, {settings.name} allows {cap.name.lower()}",
            hint=f"[environments.{settings.name}] level in ops.toml decides",
        )


def confirm(plan: Plan, settings: Settings, options: Options) -> None:
    """Get the person's yes, by name, for protected environments and for destructive work.

    Raises:
        ConfigurationError: There is no terminal to ask on, or the answer is another name.
    """
    protected = settings.environment.protected
    if protected or plan.destructive:
        _confirm_name(plan.environment, options, allow_yes=not protected)


def _confirm_name(name: str, options: Options, *, allow_yes: bool) -> None:
    if options.confirm:
        if options.confirm != name:
            raise ConfigurationError(
                f"--confirm {options.confirm!r} is not {name!r}", hint=f"--confirm {name}"
            )
        return
    if options.yes and allow_yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(
            "this needs a confirmation and there is no terminal to ask on",
            hint=f"add --confirm {name}",
        )
    sys.stderr.write(f"type {name} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise ConfigurationError(
            "not confirmed, nothing was changed", hint=f"type {name}, or add --confirm {name}"
        )
