"""In which order a release reaches hosts, and what a person is told about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.deploy.compose import haproxy, rollout
from ops.deploy.compose.files import Placed
from ops.deploy.compose.fleet import Fleet, Host
from ops.deploy.compose.model import Model
from ops.deploy.compose.wanted import Wanted
from ops.hosts.agent import routes
from tests.deploy.conftest import Contexts

TOML = """\
[app]
name = "shop"
[services.web]
container = 8000
[services.worker]
[environments.development]
target = "compose"
"""
DOCUMENT = {
    "name": "shop-development",
    "services": {"web": {"image": "a"}, "worker": {"image": "a"}},
}


class Site:
    """Two releases of an application, and hosts that run them."""

    def __init__(self, contexts: Contexts, toml: str) -> None:
        self.settings = contexts(TOML + toml).settings

    def wanted(self, release: str) -> Wanted:
        variables: dict[str, dict[str, str]] = {}
        return Wanted(
            self.settings, release, Model(DOCUMENT, Path("/r")), Placed({}, {}, ()), variables
        )

    def host(
        self, name: str, serving: str, slots: dict[str, str], *, old: str = "", **more: Any
    ) -> Host:
        """Give a host whose slots hold these releases; the web services of all slots run."""
        present: dict[str, Any] | None = None
        for slot, release in slots.items():
            images = {"web": "sha256:abc", "worker": "sha256:abc"}
            present = dict(self.wanted(release).derive(slot, images, present).document)
        running = {f"web-{slot}" for slot in slots} | {haproxy.NAME}
        running |= {f"worker-{slot}" for slot in slots if slot in (serving, old)}
        structure = routes.digest_in(self.wanted("any").proxy(""))
        filled: dict[str, dict[str, Any]] = {slot: {} for slot in ("blue", "green")}
        filled |= {slot: {"release": release} for slot, release in slots.items()}
        given = {"comes_back": serving, "structure": structure, **more}
        return Host(name, serving, filled, frozenset(running), present, **given)

    def plan(
        self, *hosts: Host, release: str = "new", watched: bool = True
    ) -> tuple[list[str], dict[str, str]]:
        """Return the ids of the steps, those of a group together, and the words."""
        what = self.wanted(release)
        moves = rollout.moves(what, Fleet(hosts))
        shown: dict[str, list[str]] = {}
        for step in rollout.plan(what, moves, watched=watched):
            shown.setdefault(step.group or step.id, []).append(step.id)
        return [" ".join(ids) for ids in shown.values()], rollout.words(
            what, moves, watched=watched
        )


@pytest.fixture
def site(context_of: Contexts) -> Site:
    return Site(context_of, "")


def old(site: Site, name: str, **more: Any) -> Host:
    return site.host(name, "blue", {"blue": "old"}, **more)


def test_one_host_is_filled_switched_watched_and_its_old_slot_ends(site: Site) -> None:
    steps, words = site.plan(old(site, "a"))
    assert steps == ["prepare:a", "switch:a", "watch:1", "retire:a"]
    assert words == {
        "bake": "10 s after each switch; back by itself when 2 points more requests fail,"
        " or answers take 3 times as long",
        "old slot": "stays warm for 1 h after its requests and jobs have ended",
    }


def test_first_deploy_is_not_watched_because_there_is_no_way_back(site: Site) -> None:
    steps, words = site.plan(Host("a", "", {"blue": {}, "green": {}}, frozenset(), None))
    assert (steps, words) == (["prepare:a", "switch:a"], {})


def test_way_back_to_a_warm_slot_is_a_switch_of_all_hosts_at_once(context_of: Contexts) -> None:
    site = Site(context_of, 'wave = 1\nrollout = [5, 100]\nwarm = "90s"\n')
    both = {"blue": "old", "green": "new"}
    hosts = [site.host(name, "blue", both) for name in "abc"]
    steps, words = site.plan(*hosts, watched=False)
    assert steps == ["switch:a switch:b switch:c", "retire:a retire:b retire:c"]
    assert words == {"old slot": "stays warm for 90 s after its requests and jobs have ended"}


@pytest.mark.parametrize(
    ("setting", "count", "waves"),
    [
        ("", 1, ["a"]),
        ("", 2, ["a b"]),
        ("", 3, ["a b", "c"]),
        ("", 5, ["a b c", "d e"]),
        ("wave = 2", 5, ["a b", "c d", "e"]),
        ("wave = 9", 3, ["a b c"]),
        ('wave = "25%"', 5, ["a b", "c d", "e"]),
        ('wave = "1%"', 2, ["a", "b"]),
        ('wave = "100%"', 4, ["a b c d"]),
    ],
)
def test_hosts_are_filled_together_and_switched_in_waves(
    context_of: Contexts, setting: str, count: int, waves: list[str]
) -> None:
    site = Site(context_of, f"{setting}\n")
    steps, words = site.plan(*(old(site, name) for name in "abcde"[:count]))
    assert len(steps[0].split()) == count and "prepare:a" in steps[0]
    expected = []
    for number, wave in enumerate(waves, 1):
        expected += [" ".join(f"switch:{name}" for name in wave.split()), f"watch:{number}"]
    assert steps[1:-1] == expected
    assert len(steps[-1].split()) == count and "retire:a" in steps[-1]
    assert words.get("waves", "") == (
        "; then ".join(wave.replace(" ", ", ") for wave in waves) if len(waves) > 1 else ""
    )


def test_each_wave_gets_its_shares_first(context_of: Contexts) -> None:
    site = Site(context_of, 'rollout = [5, 25, 100]\nbake = "2m"\nwave = 1\n')
    steps, words = site.plan(old(site, "a"), old(site, "b"))
    assert steps[1:7] == [
        *("share:5.a", "watch:1.5", "share:25.a", "watch:1.25"),
        *("switch:a", "watch:1"),
    ]
    assert steps[7:9] == ["share:5.b", "watch:2.5"]
    assert words["canary"] == "5 %, 25 % of the requests, each watched for 2 min, then all"


def test_other_routes_cannot_have_a_share_and_the_plan_says_so(context_of: Contexts) -> None:
    site = Site(context_of, "rollout = [5, 100]\n")
    steps, words = site.plan(old(site, "a", structure="0123"))
    assert steps == ["prepare:a", "switch:a", "watch:1", "retire:a"]
    assert words["canary"].startswith("none: the proxy's routes change")


def test_without_bake_and_warm_there_is_neither(context_of: Contexts) -> None:
    site = Site(context_of, 'bake = "0s"\nwarm = "0s"\n')
    steps, words = site.plan(old(site, "a"))
    assert steps == ["prepare:a", "switch:a", "retire:a"]
    assert words == {"old slot": "is stopped after its requests and jobs have ended"}


def test_host_that_has_finished_is_left_alone(site: Site) -> None:
    done = site.host("a", "green", {"blue": "old", "green": "new"})
    assert site.plan(done) == ([], {})
    steps, _ = site.plan(done, old(site, "b"))
    assert steps == ["prepare:b", "switch:b", "watch:1", "retire:b"]


def test_deploy_killed_after_a_switch_goes_on_there(site: Site) -> None:
    both = {"blue": "old", "green": "new"}
    killed = site.host("a", "green", both, old="blue", left="blue", served=True)
    steps, _ = site.plan(killed, old(site, "b"))
    assert steps == ["prepare:b", "switch:a switch:b", "watch:1", "retire:a retire:b"]


def test_slot_that_a_killed_deploy_filled_in_vain_ends(site: Site) -> None:
    both = {"blue": "old", "green": "vain"}
    killed = site.host("a", "blue", both, left="green")
    assert site.plan(killed, release="old")[0] == ["retire:a"]


@pytest.mark.parametrize(
    ("release", "steps"),
    [
        ("new", ["share:5.a", "watch:1.5", "switch:a", "watch:1", "retire:a"]),
        ("old", ["switch:a", "retire:a"]),
        ("third", ["prepare:a", "share:5.a", "watch:1.5", "switch:a", "watch:1", "retire:a"]),
    ],
)
@pytest.mark.parametrize("stays", ["blue", "green"])
def test_canary_that_was_killed_is_done_again_and_what_served_keeps_serving(
    context_of: Contexts, release: str, steps: list[str], stays: str
) -> None:
    site = Site(context_of, "rollout = [5, 100]\n")
    other = {"blue": "green", "green": "blue"}[stays]
    host = site.host("a", "mixed", {stays: "old", other: "new"}, comes_back=stays)
    assert site.plan(host, release=release)[0] == steps
    slot, before = host.choose(release)
    assert (slot, before) == ((stays, other) if release == "old" else (other, stays))
