from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.deploy import git as repository
from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, StepFailed
from tests.deploy.conftest import OPS_TOML, Contexts

Git = Callable[..., str]
WORKING_TREE = OPS_TOML.replace('target = "local"', 'target = "local"\nworking_tree = true', 1)


@pytest.fixture
def committed(git: Git, tmp_path: Path) -> str:
    (tmp_path / "app.py").write_text("one\n")
    (tmp_path / ".gitignore").write_text("home/\n")
    (tmp_path / "ops.toml").write_text(OPS_TOML)
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    return git("rev-parse", "HEAD")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_clean_head_is_its_commit(context_of: Contexts, committed: str) -> None:
    found = repository.resolve(context_of(), "")
    assert (found.release, found.commit, found.ref) == (committed[:12], committed, "main")
    assert not found.dirty and not found.left_out


@pytest.mark.parametrize("name", ["main", "v1", "HEAD", "HEAD~0"])
def test_ref_is_resolved_to_its_commit(
    context_of: Contexts, git: Git, committed: str, name: str
) -> None:
    git("tag", "--annotate", "v1", "--message", "first")
    assert repository.resolve(context_of(), name).commit == committed


@pytest.mark.parametrize("name", ["nowhere", "-x", "--help", "main:app.py", "a b", "\n", "HEAD~5"])
def test_wrong_ref_is_refused(context_of: Contexts, committed: str, name: str) -> None:
    with pytest.raises(ConfigurationError):
        repository.resolve(context_of(), name)


def test_uncommitted_work_is_left_out_unless_it_is_allowed(
    context_of: Contexts, committed: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("two\n")
    found = repository.resolve(context_of(), "")
    assert found.release == committed[:12]
    assert found.left_out


def test_uncommitted_work_changes_the_release(
    context_of: Contexts, git: Git, committed: str, tmp_path: Path
) -> None:
    git("commit", "--quiet", "--all", "--allow-empty", "--message", "x")
    context = context_of(WORKING_TREE)
    git("commit", "--quiet", "--all", "--message", "allowed")
    assert not repository.resolve(context, "").dirty
    seen = set()
    for text in ("two\n", "three\n", "two\n"):
        (tmp_path / "app.py").write_text(text)
        (tmp_path / "new.txt").write_text("untracked")
        found = repository.resolve(context, "")
        assert found.dirty and found.release.startswith(f"{found.commit[:12]}+")
        seen.add(found.release)
    assert len(seen) == 2


def test_looking_at_uncommitted_work_changes_nothing(
    context_of: Contexts, git: Git, committed: str, tmp_path: Path
) -> None:
    context = context_of(WORKING_TREE)
    (tmp_path / "app.py").write_text("two\n")
    (tmp_path / "new.txt").write_text("untracked")
    before = snapshot(tmp_path)
    with guard.scope(guard.Mode.DRY_RUN):
        found = repository.resolve(context, "")
        assert repository.blob(context, found, "new.txt")
    assert snapshot(tmp_path) == before
    assert git("status", "--porcelain").splitlines()[-1] == "?? new.txt"


def test_archive_holds_the_tree_that_was_resolved(
    context_of: Contexts, committed: str, tmp_path: Path
) -> None:
    context = context_of(WORKING_TREE)
    (tmp_path / "app.py").write_text("two\n")
    (tmp_path / "new.txt").write_text("untracked")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    found = repository.resolve(context, "")
    repository.export(context, found.tree, found.dirty, tmp_path / "home" / "made")
    made = tmp_path / "home" / "made"
    assert (made / "app.py").read_text() == "two\n"
    assert (made / "new.txt").read_text() == "untracked"
    assert os.access(made / "run.sh", os.X_OK)
    assert not (made / ".git").exists()


def test_working_tree_that_changed_since_the_plan_is_refused(
    context_of: Contexts, committed: str, tmp_path: Path
) -> None:
    context = context_of(WORKING_TREE)
    found = repository.resolve(context, "")
    (tmp_path / "app.py").write_text("other\n")
    with pytest.raises(StepFailed, match="has changed since the plan was made"):
        repository.export(context, found.tree, True, tmp_path / "home" / "made")


def test_application_in_a_folder_of_the_repository(
    context_of: Contexts, git: Git, committed: str, tmp_path: Path
) -> None:
    context = context_of(OPS_TOML, tmp_path / "inner")
    (tmp_path / "inner" / "inside.txt").write_text("inside")
    git("add", "--all")
    git("commit", "--quiet", "--message", "inner")
    found = repository.resolve(context, "")
    repository.export(context, found.tree, False, tmp_path / "home" / "made")
    names = {path.name for path in (tmp_path / "home" / "made").iterdir()}
    assert names == {"inside.txt", "ops.toml"}
    assert repository.blob(context, found, "inside.txt") == git(
        "rev-parse", "HEAD:inner/inside.txt"
    )
    assert repository.blob(context, found, ".") == git("rev-parse", "HEAD:inner")
    assert repository.blob(context, found, "missing") == ""


def test_not_a_repository(context_of: Contexts, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a git repository"):
        repository.resolve(context_of(), "")


def test_no_commit_yet(context_of: Contexts, git: Git) -> None:
    with pytest.raises(ConfigurationError, match="there is no commit 'HEAD'"):
        repository.resolve(context_of(), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_repository_of_another_user_is_told_as_such(
    context_of: Contexts, committed: str, tmp_path: Path
) -> None:
    context = context_of()
    for path in (tmp_path, tmp_path / ".git"):
        os.chown(path, 65534, 65534)
    with pytest.raises(ConfigurationError, match="dubious ownership") as failure:
        repository.resolve(context, "")
    assert "safe.directory" in failure.value.hint
