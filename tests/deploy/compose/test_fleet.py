from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.deploy.compose import kept
from ops.deploy.compose.fleet import Fleet, Host, Kept
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from tests.deploy.conftest import Contexts, release

COMPOSE = """
[app]
name = "shop"
[services.web]
container = 8000
[environments.development]
target = "compose"
"""


def host(name: str, serving: str, **kept_: Kept) -> Host:
    slots = {"blue": {"release": serving}, "green": {}}
    return Host(name, "blue", slots, frozenset(), None, releases=kept_)


def keeps(
    name: str, sequence: int, *, digest: str = "d", lacks: tuple[str, ...] = (), **more: object
) -> Kept:
    return Kept(release(name, sequence, **more), {"web": "sha256:1"}, {}, digest, lacks)  # type: ignore[arg-type]


@pytest.fixture
def context(context_of: Contexts) -> Context:
    return context_of(COMPOSE)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ({}, {}, "it was not deployed there"),
        ({"r": keeps("r", 1)}, {}, "b does not have it"),
        ({"r": keeps("r", 1)}, {"r": keeps("r", 1, good=False)}, "it never served well on b"),
        (
            {"r": keeps("r", 1)},
            {"r": keeps("r", 1, lacks=("web",))},
            "its image is gone: of web on b",
        ),
        ({"r": keeps("r", 1)}, {"r": keeps("r", 1, digest="e")}, "it is not the same on a, b"),
        ({"r": keeps("r", 1)}, {"r": keeps("r", 1)}, ""),
    ],
)
def test_what_a_release_lacks_on_some_host(
    a: dict[str, Kept], b: dict[str, Kept], words: str
) -> None:
    assert Fleet((host("a", "", **a), host("b", "", **b))).unproved("r") == words


def test_records_of_hosts_are_one_history() -> None:
    first = host("a", "x", x=keeps("x", 3), y=keeps("y", 1, backup="b1"))
    second = host("b", "x", x=keeps("x", 2, breaks_older=True, migrations=["m"]))
    records = Fleet((first, second)).records
    assert [(each.id, each.sequence) for each in records] == [("x", 3), ("y", 1)]
    assert (records[0].breaks_older, records[0].migrations) == (True, ["m"])
    fleet = Fleet((first, second))
    assert kept.history(fleet, "new") == {"sequence": 4, "after": 3}
    assert kept.history(fleet, "y")["backup"] == "b1"
    assert (kept.newest(fleet, "x"), kept.newest(fleet, "y"), kept.newest(fleet, "z")) == (3, 4, 4)


def test_way_back_passes_over_what_a_host_cannot_run(context: Context) -> None:
    every = {"x": keeps("x", 1), "y": keeps("y", 2), "z": keeps("z", 3)}
    lost = {**every, "y": keeps("y", 2, lacks=("web",))}
    assert kept.choose(context, Fleet((host("a", "z", **every),)), "").id == "y"
    both = Fleet((host("a", "z", **every), host("b", "z", **lost)))
    assert kept.choose(context, both, "").id == "x"
    with pytest.raises(ConfigurationError, match="y cannot serve again: its image is gone"):
        kept.choose(context, both, "y")
    del lost["x"], every["x"]
    with pytest.raises(ConfigurationError, match="no release before z can serve again"):
        kept.choose(context, Fleet((host("a", "z", **every), host("b", "z", **lost))), "")


def test_hosts_that_disagree_are_told_and_a_named_release_brings_them_together(
    context: Context,
) -> None:
    every = {"x": keeps("x", 1), "y": keeps("y", 2)}
    now = Fleet((host("a", "x", **every), host("b", "y", **every)))
    with pytest.raises(ConfigurationError, match=r"serve different releases.*a: x, b: y"):
        kept.choose(context, now, "")
    assert kept.choose(context, now, "x").id == "x"


@pytest.mark.parametrize(
    ("serving", "comes_back", "last"),
    [("blue", "green", "x"), ("mixed", "green", "y"), ("", "blue", "x"), ("", "", "")],
)
def test_what_served_last_on_a_host(serving: str, comes_back: str, last: str) -> None:
    slots = {"blue": {"release": "x"}, "green": {"release": "y"}}
    one = Host("a", serving, slots, frozenset(), None, comes_back=comes_back)
    assert (one.last, Fleet((one,)).last) == (last, {last} - {""})


def test_way_back_passes_by_what_a_rollback_left(context: Context) -> None:
    every = {"x": keeps("x", 1), "y": keeps("y", 2, after=1), "z": keeps("z", 3, after=1)}
    now = Fleet((host("a", "z", **every), host("b", "z", **every)))
    assert kept.choose(context, now, "").id == "x"
    assert kept.choose(context, now, "y").id == "y"
    down = Fleet(tuple(replace(each, serving="", comes_back="blue") for each in now))
    assert (down.release, kept.choose(context, down, "").id) == ("", "z")


@pytest.mark.parametrize(
    ("more", "chosen"),
    [({"left": "green", "served": True}, "y"), ({"left": "green"}, "x"), ({}, "x")],
)
def test_way_back_that_was_killed_after_its_switch_is_finished(
    context: Context, more: dict[str, Any], chosen: str
) -> None:
    every = {"x": keeps("x", 1), "y": keeps("y", 2, after=1), "z": keeps("z", 3, after=2)}
    slots = {"blue": {"release": "y"}, "green": {"release": "z"}}
    one = replace(host("a", "y", **every), slots=slots, **more)
    assert kept.choose(context, Fleet((one,)), "").id == chosen


def test_database_that_went_on_forbids_the_way_back(context: Context) -> None:
    broke = keeps("y", 2, breaks_older=True, migrations=["2_drop"], backup="b7")
    now = Fleet((host("a", "y", x=keeps("x", 1), y=broke),))
    with pytest.raises(ConfigurationError, match="x does not work with the database that y"):
        kept.choose(context, now, "")
