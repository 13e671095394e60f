"""The Compose file, the routes or the port change from one release to the next."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.docker.engine import docker
from tests.support.load import Load
from tests.support.slots import OTHER, Site, Told, another, another_than, site


@pytest.fixture(scope="module")
def shared(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("changes")) as made:
        made.deploy("1")
        yield made


@pytest.fixture
def here(shared: Site) -> Site:
    """An environment in which one release serves."""
    shared.settle()
    return shared


def test_other_services_run_on_and_are_recreated_only_when_they_changed(here: Site) -> None:
    first = here.containers()
    slot = here.deploy(another(here))
    assert {name: here.containers()[name]["id"] for name in ("cache", "db", "invops-proxy")} == {
        name: first[name]["id"] for name in ("cache", "db", "invops-proxy")
    }
    assert here.observe()["changed"] == []

    with here.edited("POSTGRES_DB: app", "POSTGRES_DB: app\n      NEW: variable"):
        changes = here.prepare(another(here), OTHER[slot]).changes
    assert changes.changed == ("db",)
    assert "db: recreated because its definition changed" in changes.lines(here.containers())
    now = here.containers()
    assert now["db"]["id"] != first["db"]["id"] and now["cache"]["id"] == first["cache"]["id"]


def test_a_service_that_left_the_file_ends_when_no_slot_needs_it(here: Site) -> None:
    project = ("project=" + here.app.project, "service=foreign", "oneoff=False")
    labels = [f"--label=com.docker.compose.{each}" for each in project]
    redis = here.containers()["cache"]["image"]
    docker("run", "--detach", *labels, "--entrypoint=sleep", redis, "600")
    with here.edited("  worker:\n", "  extra:\n    image: ${REDIS_IMAGE}\n  worker:\n"):
        here.deploy(another(here))
        assert here.containers()["extra"]["state"] == "running"
    slot = OTHER[here.serving()]
    changes = here.prepare(another(here), slot).changes
    assert changes.gone == ("extra",)
    assert here.containers()["extra"]["state"] == "running"
    here.switch(slot)
    here.deploy(another(here))
    assert "extra" not in here.containers()
    foreign = here.containers()["foreign"]
    assert foreign["state"] == "running", "it was never ours"
    docker("rm", "--force", foreign["id"])


def test_other_routes_come_with_the_switch_and_lose_nothing(here: Site) -> None:
    web = here.services["web"]
    with Load("127.0.0.1", here.port, "/", "/slow", limit=200) as load:
        try:
            for routes in (("/", "/more"), ("/",)):
                version, before = another(here), here.serving()
                slot = OTHER[before]
                here.services["web"] = web.model_copy(update={"route": routes, "live": routes[-1]})
                text = (here.base / "proxy" / "haproxy.cfg").read_text()
                here.prepare(version, slot)
                merged = (here.base / "proxy" / "haproxy.cfg").read_text()
                assert "/more" in merged or "/more" not in text
                here.switch(slot)
                assert (here.base / "proxy" / "haproxy.cfg").read_text() == here.routes(slot)
                here.retire(before)
        finally:
            here.services["web"] = web
    assert load.result().failed == 0, load.result()


def test_a_port_that_somebody_has_is_refused_before_anything_stops(here: Site) -> None:
    version, idle, port = here.version(), OTHER[here.serving()], here.port
    with socket.socket() as somebody:
        somebody.bind(("", 0))
        somebody.listen()
        here.port = somebody.getsockname()[1]
        try:
            with pytest.raises(Told, match=f"port {here.port} is taken on this host"):
                here.prepare(another_than(version), idle)
        finally:
            here.port = port
    assert here.version() == version


ONCE = """\
  once:
    image: ${REDIS_IMAGE}
    command: [sh, -c, "sleep 1; exit %d"]
  worker:
"""


def test_a_slot_starts_after_what_it_depends_on(here: Site) -> None:
    waits = "depends_on: {once: {condition: service_completed_successfully}}\n    expose"
    with here.edited("depends_on: [cache]\n    expose", waits):
        with here.edited("  worker:\n", ONCE % 0):
            slot = here.deploy("3")
            once, web = here.containers()["once"], here.containers()[f"web-{slot}"]
            assert (once["state"], once["exit_code"]) == ("exited", 0)
            assert web["started"] > once["started"]
            here.deploy("4")
            assert here.containers()["once"]["started"] == once["started"], "it ran again"
        version = here.version()
        with (
            here.edited("  worker:\n", ONCE % 3),
            pytest.raises(Told, match="once ended with exit code 3"),
        ):
            here.prepare("5", OTHER[here.serving()])
    assert here.version() == version == "4"


def test_all_copies_of_a_service_get_requests(here: Site) -> None:
    try:
        with (
            Load("127.0.0.1", here.port, "/", "/slow", limit=200) as load,
            here.edited(
                "    stop_grace_period: 10s\n", "    stop_grace_period: 10s\n    scale: 2\n"
            ),
        ):
            here.copies = {"web": 2}
            for _ in range(2):
                slot = here.deploy(another(here))
            servers = [each for each in here.observe()["proxy"]["servers"] if each["slot"] == slot]
            assert len({each["address"] for each in servers}) == 2
            assert all(each["counters"]["stot"] for each in servers)
    finally:
        here.copies = {}
    assert load.result().failed == 0, load.result()
    here.deploy(another(here))
