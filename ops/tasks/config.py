"""Look at the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import READ, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=READ, kind="verification")
def show(call: Invocation) -> Report:
    """Show each setting with its source: file and line, variable or default; secrets are masked."""
    from ops import configuration

    return configuration.show(call.settings)


@task(level=READ, kind="verification")
def check(call: Invocation) -> Report:
    """Check ops.toml and the variables; show all faults at once."""
    from ops import configuration

    return configuration.check(call.options.env)


@task(level=READ, kind="verification")
def schema(call: Invocation) -> Report:
    """Print the JSON schema of ops.toml, for completion in editors."""
    from ops import configuration

    return configuration.schema()
