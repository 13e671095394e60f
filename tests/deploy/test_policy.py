from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.deploy import git as repository
from ops.deploy import policy
from ops.deploy.policy import Finding
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted
from tests.deploy.conftest import OPS_TOML, Contexts, release, store

MOMENT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Git = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in policy.CI_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ruled(context_of: Contexts, git: Git) -> Callable[[str], Context]:
    """Give the context of a repository with one commit on main and these rules."""

    def make(rules: str) -> Context:
        context = context_of(f"{OPS_TOML}\n[environments.development.policy]\n{rules}\n")
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "one")
        return context

    return make


def broken(context: Context, moment: datetime = MOMENT) -> list[str]:
    found = policy.findings(context, repository.resolve(context, ""), moment)
    assert all("\n" not in each.what and each.hint for each in found)
    return [each.rule for each in found]


def test_no_rules_break_nothing(ruled: Callable[[str], Context], tmp_path: Path) -> None:
    context = ruled("")
    (tmp_path / "new").touch()
    assert broken(context) == []


@pytest.mark.parametrize(
    ("variable", "value", "rules"),
    [
        ("CI", "true", []),
        ("CI", "1", []),
        ("GITHUB_ACTIONS", "true", []),
        ("GITLAB_CI", "true", []),
        ("CI", "false", ["ci_only"]),
        ("CI", "perhaps", ["ci_only"]),
        ("CI", "", ["ci_only"]),
    ],
)
def test_ci_is_known_by_its_variables(
    ruled: Callable[[str], Context],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    rules: list[str],
) -> None:
    monkeypatch.setenv(variable, value)
    context = ruled("ci_only = true")
    assert broken(context) == rules
    assert [each.rule for each in policy.findings_of_rollback(context)] == rules


def test_commit_must_be_on_the_branch(ruled: Callable[[str], Context], git: Git) -> None:
    context = ruled('branch = "main"')
    assert broken(context) == []
    git("switch", "--quiet", "--create", "other")
    assert broken(context) == []
    git("commit", "--quiet", "--allow-empty", "--message", "two")
    assert broken(context) == ["branch"]


def test_branch_of_origin_counts_before_the_one_here(
    ruled: Callable[[str], Context], git: Git, tmp_path: Path
) -> None:
    context = ruled('branch = "main"')
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("checkout", "--quiet", "--detach")  # as CI checks out
    assert broken(context) == []
    git("switch", "--quiet", "main")
    git("commit", "--quiet", "--allow-empty", "--message", "not pushed")
    assert broken(context) == ["branch"]


def test_branch_that_is_not_known_here_is_told(ruled: Callable[[str], Context]) -> None:
    context = ruled('branch = "release"')
    (found,) = policy.findings(context, repository.resolve(context, ""), MOMENT)
    assert "there is no branch release here" in found.what
    assert found.hint == "git fetch --unshallow origin release"


def test_shallow_checkout_does_not_say_that_a_commit_is_elsewhere(
    ruled: Callable[[str], Context], context_of: Contexts, git: Git, tmp_path: Path
) -> None:
    ruled('branch = "main"')
    first = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--message", "two")
    git("commit", "--quiet", "--allow-empty", "--message", "three")
    clone = tmp_path / "clone"
    command = ["git", "clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone)]
    subprocess.run(command, check=True)
    subprocess.run(["git", "fetch", "-q", "--depth=1", "origin", first], cwd=clone, check=False)
    context = context_of((tmp_path / "ops.toml").read_text(), clone)
    assert repository.is_on(context, first, "main") is None


@pytest.mark.parametrize("rules", ["clean = true", "clean = true\n"])
def test_work_that_is_not_committed(
    ruled: Callable[[str], Context], tmp_path: Path, rules: str
) -> None:
    context = ruled(rules)
    assert broken(context) == []
    (tmp_path / "new").touch()
    assert broken(context) == ["clean"]


def test_freeze(ruled: Callable[[str], Context]) -> None:
    context = ruled('freeze = ["fri 10:00/fri 14:00"]\ntime_zone = "Europe/Berlin"')
    (found,) = policy.findings(context, repository.resolve(context, ""), MOMENT)
    assert found.what == "nothing is deployed until fri 14:00 (Europe/Berlin)"
    assert broken(context, MOMENT.replace(hour=14)) == []


def test_release_must_have_served_before_elsewhere(
    ruled: Callable[[str], Context], git: Git
) -> None:
    context = ruled('after = "second"')
    name = git("rev-parse", "HEAD")[:12]
    second = policy.at(context, "second")
    for made, words in (
        (None, "was not deployed there"),
        (release(name, 1, good=False), "never served well"),
    ):
        if made:
            store(second, made)
        (found,) = policy.findings(context, repository.resolve(context, ""), MOMENT)
        assert words in found.what and found.hint == "inv deploy --env second"
    store(second, release(name, 1))
    assert broken(context) == []


def test_broken_rules_are_refused_or_recorded(context_of: Contexts) -> None:
    context = context_of()
    one = Finding("clean", "there is work", "commit it")
    two = Finding("freeze", "nothing is deployed", "wait")
    assert policy.judge(context, [], "", "deploy") == policy.Verdict()
    assert policy.judge(context, [], "a reason", "deploy").recorded == {}
    with pytest.raises(NotPermitted) as caught:
        policy.judge(context, [one, two], "", "deploy")
    assert caught.value.exit_code == 5
    assert caught.value.what.splitlines() == [
        "the policy of development forbids this deploy",
        "  there is work (clean): commit it",
        "  nothing is deployed (freeze): wait",
    ]
    assert caught.value.hint == 'inv deploy --env development --override "reason"'
    verdict = policy.judge(context, [one], "it burns", "deploy")
    assert verdict.summary == {"policy": "overridden (it burns): there is work"}
    assert verdict.recorded == {
        "override": {
            "reason": "it burns",
            "rules": [{"rule": "clean", "what": "there is work"}],
        }
    }


@pytest.mark.parametrize("reason", ["", " ", "\t\n"])
def test_override_needs_a_reason(reason: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a reason"):
        policy.check_reason(reason)
    policy.check_reason(None)
