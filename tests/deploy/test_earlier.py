"""Where a way back leads: to what served before, never to what a rollback left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.deploy import earlier
from ops.deploy.releases import Release
from ops.kernel.errors import ConfigurationError
from tests.deploy.conftest import Contexts, release, store


@pytest.mark.parametrize(
    ("serving", "to", "expected"),
    [
        ("c", "", "b"),
        ("b", "", "a"),
        ("", "", "c"),
        ("gone", "", "c"),
        ("x", "", "c"),
        ("c", "a", "a"),
        ("c", "aa", "a"),
        ("b", "c", "c"),
    ],
)
def test_release_before(context_of: Contexts, serving: str, to: str, expected: str) -> None:
    context = context_of()
    failed = release("x", 4, good=False)
    store(context, release("a", 1), release("b", 2), release("c", 3), failed)
    assert earlier.choose(context.settings, serving, to).id == expected


@pytest.mark.parametrize(("serving", "to"), [("a", ""), ("c", "x"), ("c", "0123"), ("c", "a\n")])
def test_no_release_before(context_of: Contexts, serving: str, to: str) -> None:
    context = context_of()
    store(context, release("a", 1), release("c", 3), release("x", 4, good=False))
    with pytest.raises(ConfigurationError, match=r"no release before|is not a good release"):
        earlier.choose(context.settings, serving, to)


class History:
    """Releases as deploys and rollbacks leave them; `serving` is what they would observe."""

    def __init__(self, context_of: Contexts) -> None:
        self.settings = context_of().settings
        self.known: list[Release] = []
        self.serving = ""

    def go(self, *words: str) -> str:
        """Do what words say: `a` deploys it, `a!` and is killed after its switch, `<` goes back, `>a` is --to a."""
        for word in words:
            if word == "<":
                self.serving = self.choose().id
            elif word.startswith(">"):
                self._serve_again(self.choose(word[1:]))
            else:
                self._deploy(word.rstrip("!"), good=not word.endswith("!"))
        return self.serving

    def choose(self, to: str = "") -> Release:
        return earlier.choose(self.settings, self.serving, to, self.known)

    def _deploy(self, name: str, *, good: bool) -> None:
        after = earlier.after(self.known, name, {self.serving}, newest=True)
        own = next((each for each in self.known if each.id == name), None)
        following = max((each.sequence for each in self.known), default=0) + 1
        newest = own is not None and own.sequence == following - 1
        sequence = own.sequence if own and (newest or not good) else following
        self._save(release(name, sequence, good=good or bool(own and own.good), after=after))

    def _serve_again(self, chosen: Release) -> None:
        after = earlier.after(self.known, chosen.id, {self.serving}, newest=False)
        self._save(replace(chosen, after=after))

    def _save(self, made: Release) -> None:
        others = [each for each in self.known if each.id != made.id]
        self.known = sorted([made, *others], key=lambda each: each.sequence, reverse=True)
        self.serving = made.id


@pytest.fixture
def history(context_of: Contexts) -> History:
    return History(context_of)


@pytest.mark.parametrize(
    ("done", "back"),
    [
        ("a b c", "b a"),
        ("a b < c", "a"),
        ("a b c < d", "b a"),
        ("a b c < < d", "a"),
        ("a b c >a d", "a"),
        ("a b < c < d", "a"),
        ("a b < c d", "c a"),
        ("z a b < c <", "z"),
        ("z a b < c < d", "a z"),
        # Deployed again, or served again by name: it counts as before.
        ("a b < b", "a"),
        ("a b < c b", "c a"),
        ("a b c < < c", "a"),
        ("a b < >b c", "b a"),
        ("a b < c < >b", "a"),
        ("a b c < < >c", "a"),
        ("a b c >a >c", "a"),
        ("a b < c < >c", "a"),
        # One from before that came last again, and what it was left for.
        ("z a b a", "b z"),
        ("z a b < c a <", "z"),
        ("a b a c", "a b"),
        ("a b a < c", "b"),
        # Killed after the switch, before it counted as good.
        ("a b < c!", "a"),
        ("a b < c! c", "a"),
        ("a b < c! d", "a"),
        ("a b < c! < d", "a"),
    ],
)
def test_way_back_leads_to_what_served_until_then(history: History, done: str, back: str) -> None:
    history.go(*done.split())
    passed = []
    while True:
        try:
            passed.append(history.go("<"))
        except ConfigurationError:
            break
        assert len(passed) < 9, passed
    assert passed == back.split()


def test_what_a_rollback_left_is_told_and_may_be_named(history: History) -> None:
    first = history.go("a", "b", "<", "c", "<")
    with pytest.raises(ConfigurationError) as raised:
        history.choose()
    told = raised.value
    assert (first, told.what) == ("a", "there is no release before a in development")
    assert told.why == "a rollback left c, b"
    assert told.hint == (
        "name one that inv releases --env development shows:"
        " inv rollback --env development --to RELEASE"
    )
    assert [each.id for each in earlier.way_back(history.known, "a")] == ["a"]
    assert history.choose("b").id == "b"


@pytest.mark.parametrize("last", ["a", "b"])
def test_nothing_serves_then_what_served_last_comes_first(history: History, last: str) -> None:
    history.go("a", "b", "<", *(["b"] if last == "b" else []))
    assert earlier.choose(history.settings, "", "", history.known, last=last).id == last


@pytest.mark.parametrize(
    ("done", "ending", "expected"),
    [
        ("z a b <", "b", "a"),  # killed on the way back from b
        ("z a b < c <", "c", "a"),
        ("z a b", "a", "a"),  # a deploy was killed
        ("z a b < c!", "a", "a"),
        ("z a b <", "", "z"),
        ("z a b <", "a", "z"),
        ("z a b <", "gone", "z"),
    ],
)
def test_way_back_that_was_killed_is_finished_first(
    history: History, done: str, ending: str, expected: str
) -> None:
    serving = history.go(*done.split())
    chosen = earlier.choose(history.settings, serving, "", history.known, ending={ending})
    assert chosen.id == expected


def test_what_cannot_serve_again_is_passed_over_on_the_same_way(history: History) -> None:
    history.go("z", "a", "b", "<", "c", "d")
    gone = {"c": "its image is gone", "a": "host1 does not have it"}

    def choose() -> str:
        return earlier.choose(
            history.settings, "d", "", history.known, lacks=lambda each: gone.get(each, "")
        ).id

    assert choose() == "z"
    gone["z"] = "too"
    with pytest.raises(ConfigurationError, match="no release before d can serve again") as raised:
        choose()
    assert raised.value.why == (
        "c: its image is gone; a: host1 does not have it; z: too; a rollback left b"
    )


def test_records_of_before_say_nothing_of_what_was_before(history: History) -> None:
    history.known = [release("b", 2), release("a", 1)]
    history.serving = "b"
    assert [each.after for each in history.known] == [None, None]
    assert history.go("<", "c", "<") == "a"
    assert earlier.after(history.known, "d", {"gone", ""}, newest=True) is None


def test_hosts_that_served_different_releases_lead_to_the_newest_of_these(history: History) -> None:
    history.go("a", "b", "c")
    assert earlier.after(history.known, "d", {"a", "b"}, newest=True) == 2
    assert earlier.after(history.known, "b", {"a", "c"}, newest=False) == 1
