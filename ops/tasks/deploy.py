"""deploy, deploy.check, rollback, drift, releases, exec: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(
    level=WRITE,
    kind="deploy",
    name="run",
    default=True,
    limited=True,
    help={
        "ref": "Branch, tag or commit (default: HEAD, or the working tree where allowed).",
        "override": "Reason to deploy against the environment's policy; it is recorded.",
    },
)
def deploy(call: Invocation, ref: str = "", override: str | None = None) -> Report:
    """Deploy an environment: back up, migrate, start the new release, switch, check."""
    from ops.deploy import policy, targets

    policy.check_reason(override)
    call.settings = targets.ready(call.context())
    from ops.deploy import shared
    from ops.hosts import envlock

    report = call.operate(targets.deploy, lock=envlock.of, ref=ref, override=override or "")
    return shared.announce(report, call.settings)


@task(level=READ, kind="verification", limited=True)
def check(call: Invocation) -> Report:
    """Look at everything that a deploy needs, all at once, and change nothing; exit 0 when nothing stops one."""
    from ops.deploy import check as checking

    return checking.report(call.context())


@task(
    level=WRITE,
    kind="deploy",
    limited=True,
    help={
        "to": "Release id or commit (default: the last good release before this one).",
        "override": "Reason to go back against the environment's policy; it is recorded.",
    },
)
def rollback(call: Invocation, to: str = "", override: str | None = None) -> Report:
    """Go back to an earlier release that served well."""
    from ops.deploy import policy, targets

    policy.check_reason(override)
    call.settings = targets.ready(call.context())
    from ops.deploy import shared
    from ops.hosts import envlock

    report = call.operate(targets.rollback, lock=envlock.of, to=to, override=override or "")
    return shared.announce(report, call.settings)


@task(level=READ, kind="verification", limited=True)
def drift(call: Invocation) -> Report:
    """Compare what runs with what was deployed, item by item; exit 1 when something differs."""
    from ops.deploy.compose import drift as differences

    return differences.report(call.context())


@task(level=READ, kind="verification", limited=True)
def releases(call: Invocation) -> Report:
    """List the releases of an environment: state, time, commit, who."""
    from ops.deploy import listing

    return listing.releases(call.context())


@task(
    level=ADMIN,
    kind="deploy",
    name="exec",
    limited=True,
    takes_words=True,
    help={
        "service": "In a container of this service (default: the first of [services]).",
        "host": "On this host (default: the first).",
        "once": "In a container of its own, which is removed afterwards.",
    },
)
def exec_(call: Invocation, service: str = "", host: str = "", once: bool = False) -> None:
    """Run a command in a container of the release that serves: `inv exec --env E -- COMMAND`.

    Its exit code is that of the command, its output is the command's as it is. A terminal's keys reach it.
    """
    from ops.deploy.compose import commands

    commands.execute(call, service, host, once=once)
