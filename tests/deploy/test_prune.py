from __future__ import annotations

import pytest

from ops.deploy import prune, releases, static
from ops.deploy.releases import Release
from ops.hosts import home
from tests.deploy.conftest import OPS_TOML, Contexts, release, store

TWO = OPS_TOML.replace('target = "local"', 'target = "local"\nkeep_releases = 2', 1)
PYTHON = '[python]\nrequirements = "lock.txt"\n' + OPS_TOML
A, B, C, D = (letter * 16 for letter in "abcd")


@pytest.mark.parametrize(
    ("made", "keep", "removed"),
    [
        ([], set(), set()),
        ([release("a", 1), release("b", 2), release("c", 3)], set(), {"a"}),
        ([release("a", 1), release("b", 2), release("c", 3)], {"a"}, set()),
        ([release("a", 1), release("b", 2, good=False), release("c", 3)], {"c"}, {"b"}),
        ([release("a", 1), release("b", 2, good=False)], {"b"}, set()),
        # It says that "a" cannot serve any more: "a" is kept, so it is as well.
        ([release("a", 1), release("b", 2, good=False, breaks_older=True)], {"a"}, set()),
        ([release("a", 1, good=False, breaks_older=True), release("b", 2)], {"b"}, {"a"}),
    ],
    ids=["none", "beyond two", "kept", "never good", "serves now", "broke older", "broke nothing"],
)
def test_superfluous_releases(
    context_of: Contexts, made: list[Release], keep: set[str], removed: set[str]
) -> None:
    context = context_of(TWO)
    store(context, *made)
    assert {each.id for each in prune.superfluous(context.settings, keep)} == removed


def test_environments_and_builds_of_no_release_are_unused(context_of: Contexts) -> None:
    context, second = context_of(), context_of(environment="second")
    store(context, release("one", 1, requirements=A, builds={"web": B}))
    store(second, release("two", 1, requirements=C, builds={"web": D}))
    here = home.of(context.settings)
    for name in (A, B, C, "static-" + D, static.environment_folder(context).name):
        (here.venvs / name).mkdir(parents=True)
    for name in (f"web-{A}", f"web-{B}", f"web-{D}.partial", f"web-{C}.partial", "notes"):
        (here.builds / name).mkdir(parents=True)
    found = {each.name for each in prune.unused(context)}
    assert found == {B, "static-" + D, f"web-{A}", f"web-{C}.partial"}


def test_environment_of_the_working_tree_stays(context_of: Contexts) -> None:
    context = context_of()
    (context.settings.folder / "lock.txt").write_text("")
    context = context_of(PYTHON)
    empty = "e3b0c44298fc1c14"
    for name in (empty, A):
        (home.of(context.settings).venvs / name).mkdir(parents=True)
    assert {each.name for each in prune.unused(context)} == {A}


def test_unreadable_record_is_told_with_its_place(context_of: Contexts) -> None:
    context = context_of()
    store(context, release("one", 1))
    path = releases.folder(context.settings, "one") / "release.json"
    path.write_text("{")
    with pytest.raises(Exception, match="record of release one cannot be read"):
        releases.all_of(context.settings)
