"""Slots of containers on a real engine: filled, switched, retired, under load and with failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker.engine import docker
from tests.support.slots import OTHER, Site, Told, another, site


@pytest.fixture(scope="module")
def shared(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = "a-folder-whose-name-is-longer-than-the-path-of-a-socket-may-be" * 2
    with site(tmp_path_factory.mktemp(name)) as made:
        made.deploy("1")
        yield made


@pytest.fixture
def here(shared: Site) -> Site:
    """An environment in which one release serves."""
    shared.settle()
    return shared


def test_a_crash_loop_ends_the_wait_and_shows_the_last_words(here: Site) -> None:
    before = here.version()
    idle = OTHER[here.serving()]

    with pytest.raises(Told) as caught:
        here.prepare("crashing", idle, "crash")

    assert caught.value.kind == "failed"
    assert f"web-{idle} crashed" in caught.value.what
    assert "version crashing cannot start: it was told to crash" in caught.value.why
    # Docker waits twice as long before each further start: five seconds would be six more of them.
    assert here.containers()[f"web-{idle}"]["restarts"] < 6
    assert here.version() == before


def test_evidence_is_kept_and_the_slot_cleared_before_the_next_try(here: Site) -> None:
    idle = OTHER[here.serving()]
    with pytest.raises(Told):
        here.prepare("broken", idle, "crash")

    kept = here.verb("evidence.keep", slot=idle, run="run-7")
    here.verb("slots.clear", slot=idle)

    folder = Path(kept["folder"])
    assert folder == here.base / "evidence" / "run-7" and folder.stat().st_mode & 0o777 == 0o700
    assert {each.name for each in folder.iterdir()} == set(kept["files"])
    logs = list(folder.glob(f"*web-{idle}*.log"))
    assert "it was told to crash" in logs[0].read_text()
    assert json.loads((folder / "proxy.json").read_text())
    inspected = json.loads((folder / "inspect.json").read_text())
    assert inspected[0]["State"] and "POSTGRES_PASSWORD=(hidden)" in str(inspected)
    assert not [name for name in here.containers() if name.endswith(f"-{idle}")]


def test_every_verb_may_be_repeated(here: Site) -> None:
    version, before = another(here), here.serving()
    slot = OTHER[before]

    here.prepare(version, slot)
    first = here.containers()
    here.prepare(version, slot)
    assert {name: each["id"] for name, each in here.containers().items()} == {
        name: each["id"] for name, each in first.items()
    }
    assert here.switch(slot)["before"] == before
    assert here.switch(slot)["before"] == slot
    for _ in range(2):
        here.retire(before)
    assert here.version() == version
    for warm in (False, False):
        here.retire(before, warm=warm)
    assert here.containers()[f"web-{before}"]["state"] == "exited"
    for _ in range(2):
        here.verb("slots.clear", slot=before)
    assert f"web-{before}" not in here.containers()


def test_the_slot_that_serves_is_neither_filled_nor_retired_nor_cleared(here: Site) -> None:
    slot, version = here.serving(), here.version()
    with pytest.raises(Told, match=f"slot {slot} serves, it is not filled"):
        here.prepare(another(here), slot)
    with pytest.raises(Told, match=f"slot {slot} serves, it is not retired"):
        here.retire(slot)
    with pytest.raises(Told, match=f"slot {slot} serves, it is not removed"):
        here.verb("slots.clear", slot=slot)
    assert here.version() == version


def test_a_restarted_proxy_serves_the_right_slot_after_each_step(here: Site) -> None:
    old, version, before = here.version(), another(here), here.serving()
    slot = OTHER[before]

    here.prepare(version, slot)
    here.restart_proxy()
    assert (here.version(), here.serving()) == (old, before)
    here.switch(slot)
    here.restart_proxy()
    assert (here.version(), here.serving()) == (version, slot)
    here.retire(before)
    here.restart_proxy()
    assert (here.version(), here.serving()) == (version, slot)


def test_the_way_back_to_a_warm_slot_is_a_switch_and_brings_its_workers(here: Site) -> None:
    old, version, before = here.version(), another(here), here.serving()
    slot = here.deploy(version)
    assert here.containers()[f"web-{before}"]["state"] == "running"
    assert here.containers()[f"worker-{before}"]["state"] == "exited"

    here.switch(before)

    assert here.version() == old
    assert here.containers()[f"worker-{before}"]["state"] == "running"
    here.retire(slot)
    assert here.containers()[f"worker-{slot}"]["state"] == "exited"


def test_maintenance_is_answered_with_503_until_it_is_taken_back(here: Site) -> None:
    version = another(here)
    here.verb("maintenance.page", retry_after=120, drain=10)
    status, page, headers = here.get("/anything")
    assert (status, headers["retry-after"]) == (503, "120") and "maintenance" in page
    assert here.observe()["proxy"]["retry_after"] == 120
    docker("restart", "--time", "1", here.containers()["invops-proxy"]["id"])
    while here.observe()["proxy"] is None:
        pass
    assert here.get()[0] == 503
    here.deploy(version)
    assert here.get()[0] == 503
    here.verb("maintenance.page", retry_after=0, drain=10)
    assert here.version() == version


def test_a_share_of_the_requests_goes_to_the_new_slot(here: Site) -> None:
    old, version, before = here.version(), another(here), here.serving()
    slot = OTHER[before]
    here.prepare(version, slot)

    here.verb("slots.weigh", slot=slot, percent=25, limit=20)

    answers = [here.version() for _ in range(100)]
    assert answers.count(version) == 25 and answers.count(old) == 75
    assert here.serving() == "mixed"
    here.switch(slot)
    here.retire(before)
    assert {here.version() for _ in range(20)} == {version}


def test_after_a_share_another_release_can_be_prepared(here: Site) -> None:
    old, before = here.version(), here.serving()
    slot = OTHER[before]
    here.prepare(another(here), slot)
    here.verb("slots.weigh", slot=slot, percent=25, limit=20)
    made = here.derive(old, slot)

    here.verb(
        "slots.prepare",
        slot=slot,
        release=old,
        model=made.document,
        proxy=here.routes(before),
        limit=60,
    )

    assert here.serving() == before
