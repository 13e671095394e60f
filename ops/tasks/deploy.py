"""deploy, rollback, releases: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(
    level=WRITE,
    kind="deploy",
    help={
        "ref": "Branch, tag or commit (default: HEAD, or the working tree where allowed).",
        "override": "Reason to deploy against the environment's policy; it is recorded.",
    },
)
def deploy(call: Invocation, ref: str = "", override: str | None = None) -> Report:
    """Deploy an environment: back up, migrate, start the new release, switch, check."""
    from ops.deploy import pipeline, policy, targets
    from ops.hosts import envlock

    policy.check_reason(override)
    report = call.operate(targets.deploy, lock=envlock.of, ref=ref, override=override or "")
    return pipeline.announce(report, call.settings)


@task(
    level=WRITE,
    kind="deploy",
    help={
        "to": "Release id or commit (default: the last good release before this one).",
        "override": "Reason to go back against the environment's policy; it is recorded.",
    },
)
def rollback(call: Invocation, to: str = "", override: str | None = None) -> Report:
    """Go back to an earlier release that served well."""
    from ops.deploy import pipeline, policy, targets
    from ops.hosts import envlock

    policy.check_reason(override)
    report = call.operate(targets.rollback, lock=envlock.of, to=to, override=override or "")
    return pipeline.announce(report, call.settings)


@task(level=READ, kind="verification")
def drift(call: Invocation) -> Report:
    """Compare what runs with what was deployed, item by item; exit 1 when something differs."""
    from ops.deploy.compose import drift as differences

    return differences.report(call.context())


@task(level=READ, kind="verification")
def releases(call: Invocation) -> Report:
    """List the releases of an environment: state, time, commit, who."""
    from ops.deploy import listing

    return listing.releases(call.context())
