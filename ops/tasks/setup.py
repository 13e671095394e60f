"""Set a machine and a repository up: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=WRITE, kind="setup", name="development", default=True)
def setup(call: Invocation) -> Report:
    """Prepare development: dependencies, .env.local, local database; a second run changes nothing."""
    from ops.setup import development

    report = call.operate(development.plan, lock=development.lock)
    return development.announce(report, call.context())


@task(level=READ, kind="verification")
def check(call: Invocation) -> Report:
    """Look for what this machine lacks, with the command that gets it; changes nothing."""
    from ops.setup import check

    return check.run(call.options.env)


@task(level=WRITE, kind="setup")
def init(call: Invocation) -> Report:
    """Write a commented ops.toml for the repository in this folder; never overwrites one."""
    from pathlib import Path

    from ops.kernel.settings.bare import bare
    from ops.setup.init import operation

    call.settings = bare(Path.cwd())
    made = operation.look(Path.cwd())
    return operation.announce(call.operate(operation.plan, made=made), made)


@task(
    level=WRITE,
    kind="setup",
    help={
        "host": "The server, user@host:port; without a user it is root.",
        "key": "File of the public key that lets the deploying user in (default: that of ssh_key).",
    },
)
def server(call: Invocation, host: str, key: str = "") -> Report:
    """Make a bare Debian or Ubuntu server ready for deploys: Docker, firewall, user, updates, certificate."""
    from ops.setup.server import operation

    report = call.operate(operation.plan, lock=operation.lock(host), host=host, key=key)
    return operation.announce(report, call.context(), host)
