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
    help={"ref": "Branch, tag or commit (default: HEAD, or the working tree where allowed)."},
)
def deploy(call: Invocation, ref: str = "") -> Report:
    """Deploy an environment: back up, migrate, start the new release, switch, check."""
    from ops.deploy import pipeline, targets
    from ops.hosts import envlock

    return pipeline.announce(call.operate(targets.deploy, lock=envlock.of, ref=ref), call.settings)


@task(
    level=WRITE,
    kind="deploy",
    help={"to": "Release id or commit (default: the last good release before this one)."},
)
def rollback(call: Invocation, to: str = "") -> Report:
    """Go back to an earlier release that served well."""
    from ops.deploy import pipeline, targets
    from ops.hosts import envlock

    return pipeline.announce(call.operate(targets.rollback, lock=envlock.of, to=to), call.settings)


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
