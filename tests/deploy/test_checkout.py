from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ops.deploy import checkout, releases
from ops.kernel.context import Context
from tests.deploy.conftest import OPS_TOML, Contexts

BUILT = (
    OPS_TOML
    + '[services.pages]\ndirectory = "site"\nbuild = ["make"]\nstatic = "out"\nroute = ["/pages"]\n'
)
Git = Callable[..., str]


@pytest.fixture
def commit(git: Git, tmp_path: Path) -> str:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("one")
    (tmp_path / "app.py").write_text("one")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    return git("rev-parse", "HEAD")


def unpack(context: Context, commit: str, git: Git) -> releases.Release:
    name = commit[:12]
    tree = git("rev-parse", f"{commit}^{{tree}}")
    checkout.checkout(
        context, release=name, commit=commit, ref="main", tree=tree, dirty=False, after=7
    )
    return releases.load(context.settings, name)


def test_record_says_what_the_release_is_made_of(
    context_of: Contexts, commit: str, git: Git
) -> None:
    context = context_of(BUILT)
    made = unpack(context, commit, git)
    assert (made.commit, made.ref, made.sequence, made.good) == (commit, "main", 1, False)
    assert made.after == 7
    assert set(made.services) == {"web", "other", "pages"}
    assert set(made.builds) == {"pages"} and made.requirements == ""
    assert releases.described_today(context.settings, made) == made


def test_build_key_changes_with_its_sources_and_commands_only(
    context_of: Contexts, commit: str, git: Git, tmp_path: Path
) -> None:
    first = unpack(context_of(BUILT), commit, git).builds["pages"]
    (tmp_path / "app.py").write_text("two")
    git("commit", "--quiet", "--all", "--message", "code")
    assert unpack(context_of(BUILT), git("rev-parse", "HEAD"), git).builds["pages"] == first
    (tmp_path / "site" / "index.html").write_text("two")
    git("commit", "--quiet", "--all", "--message", "page")
    second = unpack(context_of(BUILT), git("rev-parse", "HEAD"), git).builds["pages"]
    assert second != first
    other = context_of(BUILT.replace('"make"', '"make all"'))
    assert unpack(other, git("rev-parse", "HEAD"), git).builds["pages"] not in (first, second)


def test_undo_removes_what_never_served(context_of: Contexts, commit: str, git: Git) -> None:
    context = context_of()
    made = unpack(context, commit, git)
    half = releases.folder(context.settings, "half")
    (half / "app").mkdir(parents=True)
    for name in (made.id, "half"):
        checkout._forget(context, None, release=name)
        assert not releases.folder(context.settings, name).exists()


def test_undo_restores_the_description_of_what_served(
    context_of: Contexts, commit: str, git: Git
) -> None:
    context = context_of()
    before = replace(unpack(context, commit, git), good=True)
    releases.save(context.settings, before)
    changed = context_of(OPS_TOML.replace("8000", "8001"))
    assert unpack(changed, commit, git).services != before.services
    checkout._forget(changed, {"before": asdict(before)}, release=before.id)
    assert releases.load(context.settings, before.id) == before


def test_missing_lock_file_is_told(
    context_of: Contexts, commit: str, git: Git, tmp_path: Path
) -> None:
    (tmp_path / "lock.txt").write_text("")
    context = context_of('[python]\nrequirements = "lock.txt"\n' + OPS_TOML)
    with pytest.raises(Exception, match=r"the release has no file lock.txt"):
        unpack(context, commit, git)
