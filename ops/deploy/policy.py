"""Who may deploy what, and when: [environments.NAME.policy] of ops.toml, asked before anything changes.

A guard rail, not the boundary: the boundary is who holds the credentials. Who has a reason goes past it with
`--override`, and the reason stays in the audit trail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from ops.deploy import git, targets
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.settings import environ, freeze

CI_VARIABLES: Final = ("CI", "GITHUB_ACTIONS", "GITLAB_CI")
"""Variables that a CI system sets to true. Source: the documentation of GitHub Actions and GitLab CI/CD."""


@dataclass(frozen=True)
class Finding:
    """A rule that is broken.

    Args:
        rule: Its key in the policy.
        what: What breaks it, one line.
        hint: What would be right.
    """

    rule: str
    what: str
    hint: str


@dataclass(frozen=True)
class Verdict:
    """What a policy says about an operation that may go on.

    Args:
        reason: Why rules were overridden, empty when none was broken.
        overridden: These rules.
    """

    reason: str = ""
    overridden: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, str]:
        """What the plan says about it."""
        if not self.overridden:
            return {}
        rules = "; ".join(each.what for each in self.overridden)
        return {"policy": f"overridden ({self.reason}): {rules}"}

    @property
    def recorded(self) -> dict[str, Any]:
        """What run and audit trail keep."""
        if not self.overridden:
            return {}
        rules = [{"rule": each.rule, "what": each.what} for each in self.overridden]
        return {"override": {"reason": self.reason, "rules": rules}}


def check_reason(override: str | None) -> None:
    """Refuse an override without a reason.

    Raises:
        ConfigurationError: It is empty.
    """
    if override is not None and not override.strip():
        raise ConfigurationError(
            "--override needs a reason", hint='--override "payment is down, fix of ticket 123"'
        )


def findings(
    context: Context, revision: git.Revision, moment: datetime | None = None
) -> list[Finding]:
    """Return every rule that a deploy would break; reads only.

    Args:
        context: Surroundings.
        revision: What would be deployed.
        moment: When, with its time zone; default: now.
    """
    rules = context.settings.environment.policy
    found = findings_of_rollback(context)
    if rules.branch:
        found += _branch(context, revision, rules.branch)
    if rules.clean and (revision.dirty or revision.left_out):
        what = "there is work that is not committed"
        found.append(Finding("clean", what, "git status, then commit it or put it aside"))
    if rules.after:
        found += _after(context, revision, rules.after)
    zone = ZoneInfo(rules.time_zone)
    for window in rules.freeze:
        if end := freeze.until(window, moment or datetime.now(UTC), zone):
            what = f"nothing is deployed until {end} ({rules.time_zone})"
            found.append(Finding("freeze", what, f"wait until {end}"))
    return found


def findings_of_rollback(context: Context) -> list[Finding]:
    """Return the rules that a rollback would break: an emergency waits for no branch, window or other environment."""
    if context.settings.environment.policy.ci_only and not in_ci():
        name = context.settings.name
        return [
            Finding(
                "ci_only", f"only CI changes {name}", "let the pipeline of your CI system do it"
            )
        ]
    return []


def in_ci() -> bool:
    """Say whether a CI system runs this."""
    return any(environ.truth(environ.get(name)) for name in CI_VARIABLES)


def judge(context: Context, found: Sequence[Finding], override: str, task: str) -> Verdict:
    """Refuse an operation that breaks rules, unless there is a reason to do it all the same.

    Args:
        context: Surroundings.
        found: The rules that it breaks.
        override: The reason, empty for none.
        task: Name of the task, for the hint.

    Raises:
        NotPermitted: Rules are broken; all of them, one line each.
    """
    if not found:
        return Verdict()
    if override:
        return Verdict(override, tuple(found))
    name = context.settings.name
    lines = [f"{each.what} ({each.rule}): {each.hint}" for each in found]
    what = "\n".join(
        [f"the policy of {name} forbids this {task}", *(f"  {line}" for line in lines)]
    )
    raise NotPermitted(what, hint=f'inv {task} --env {name} --override "reason"')


def _branch(context: Context, revision: git.Revision, branch: str) -> list[Finding]:
    on = git.is_on(context, revision.commit, branch)
    if on is None:
        what = f"there is no branch {branch} here to find {revision.commit[:12]} on"
        return [Finding("branch", what, f"git fetch --unshallow origin {branch}")]
    if on:
        return []
    what = f"{revision.commit[:12]} is not on branch {branch}"
    return [Finding("branch", what, f"merge it into {branch}, then deploy that")]


def _after(context: Context, revision: git.Revision, other: str) -> list[Finding]:
    reason = targets.unproved(at(context, other), revision.release)
    if not reason:
        return []
    what = f"{revision.release} has not passed {other}: {reason}"
    return [Finding("after", what, f"inv deploy --env {other}")]


def at(context: Context, environment: str) -> Context:
    """Return the surroundings of another environment, for looking at it."""
    settings = context.settings.model_copy(update={"name": environment})
    return dataclasses.replace(context, settings=settings)
