"""What holds for every Compose file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.deploy.compose import haproxy
from ops.deploy.compose.derived import Content, Derived, derive, slot_of
from ops.deploy.compose.files import Placed
from ops.deploy.compose.model import Model
from ops.kernel.settings.models import Service

NAMES = ("web", "worker", "db", "cache", "cron")
TEXTS = st.text(max_size=8)
MAPS = st.dictionaries(TEXTS, TEXTS, max_size=3)
SERVICE = st.fixed_dictionaries(
    {"image": TEXTS.filter(bool)},
    optional={
        "environment": st.dictionaries(TEXTS, TEXTS | st.none(), max_size=3),
        "labels": st.dictionaries(st.sampled_from(["a", "b"]), TEXTS),
        "command": st.lists(TEXTS, max_size=2) | st.none(),
        "ports": st.lists(st.fixed_dictionaries({"target": st.integers(1, 65535)}), max_size=2),
        "depends_on": st.dictionaries(
            st.sampled_from(NAMES), st.just({"condition": "service_started", "required": True})
        ),
        "networks": st.dictionaries(
            st.sampled_from(["default", "back"]),
            st.none() | st.fixed_dictionaries({"aliases": st.lists(TEXTS, max_size=2)}),
        ),
        "links": st.lists(st.sampled_from(["db", "web:api", "worker"]), max_size=2),
        "deploy": st.fixed_dictionaries({}, optional={"replicas": st.integers(1, 3)}),
        "container_name": TEXTS.filter(bool),
        "x-any": MAPS,
    },
)
FILES = st.dictionaries(st.sampled_from(NAMES), SERVICE, min_size=1).filter(
    lambda services: "web" in services
)
SWITCHED = {"web": Service(container=8000), "worker": Service()}


def made(services: dict[str, Any], slot: str, release: str, present: Any = None) -> Derived:
    chosen = {name: each for name, each in SWITCHED.items() if name in services}
    return derive(
        Model({"name": "p", "services": services}, Path("/releases/r/app")),
        chosen,
        Content(release, slot, dict.fromkeys(chosen, f"sha256:{release}")),
        front=haproxy.Front("haproxy", 80),
        placed=Placed({}, {}, ()),
        base="/base",
        present=present,
    )


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_deriving_changes_nothing_that_it_was_given(services: dict[str, Any]) -> None:
    before = json.dumps(services)
    first, again = made(services, "blue", "r1"), made(services, "blue", "r1")
    assert json.dumps(services) == before
    assert (first.digest, first.document) == (again.digest, again.document)
    assert json.loads(json.dumps(first.document)) == first.document, "plain JSON"


@settings(max_examples=40, deadline=None)
@given(FILES, FILES, FILES)
def test_what_serves_stays_byte_for_byte(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    first = made(one, "blue", "r1").document
    second = made(two, "green", "r2", first).document
    third = made(three, "blue", "r3", second).document
    for before, after, slot in ((first, second, "blue"), (second, third, "green")):
        there = {name: each for name, each in before["services"].items() if slot_of(each) == slot}
        assert json.dumps({name: after["services"][name] for name in there}) == json.dumps(there)


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_deriving_from_its_own_result_changes_nothing(services: dict[str, Any]) -> None:
    first = made(services, "blue", "r1").document
    second = made(services, "green", "r2", first)
    again = made(services, "green", "r2", json.loads(json.dumps(second.document)))
    assert again.document == second.document
    assert again.changes.changed == again.changes.new == again.changes.gone == ()


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_what_is_not_switched_is_as_the_user_wrote_it(services: dict[str, Any]) -> None:
    found = made(services, "blue", "r1").document["services"]
    for name, given_one in services.items():
        if name in SWITCHED:
            assert name not in found
            continue
        kept = {"command", "ports", "labels", "networks", "container_name", "image", "x-any"}
        for key in kept & given_one.keys():
            assert found[name][key] == given_one[key]
        waits = set(found[name].get("depends_on", {}))
        assert waits == given_one.get("depends_on", {}).keys() - (SWITCHED.keys() & services.keys())


@settings(max_examples=40, deadline=None)
@given(FILES, st.sampled_from(["blue", "green"]))
def test_nothing_of_a_slot_names_the_other_one(services: dict[str, Any], slot: str) -> None:
    other = {"blue": "green", "green": "blue"}[slot]
    for name, each in made(services, slot, "r1").document["services"].items():
        if slot_of(each):
            assert name.endswith(f"-{slot}") and not each.get("ports")
            assert f"slot-{other}" not in each["networks"]
            assert not any(word.endswith(f"-{other}") for word in each.get("depends_on", {}))
