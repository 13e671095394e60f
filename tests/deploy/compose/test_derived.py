"""What a host is to run, derived from the user's Compose file: a pure function."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ops.deploy.compose import haproxy
from ops.deploy.compose.derived import Content, Derived, derive
from ops.deploy.compose.files import Placed
from ops.deploy.compose.model import Model
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Service

FOLDER = Path("/releases/r1/app")
WEB = Service(container=8000)
SERVICES: dict[str, Service] = {"web": WEB, "worker": Service(stop_timeout=90)}
NOWHERE = Placed({}, {}, ())


def made(
    services: Mapping[str, Any],
    *,
    switched: Mapping[str, Service] | None = None,
    slot: str = "blue",
    present: Mapping[str, Any] | None = None,
    placed: Placed = NOWHERE,
    release: str = "r1",
    variables: Mapping[str, str] | None = None,
    **sections: Any,
) -> Derived:
    switched = {"web": WEB} if switched is None else switched
    document = {"name": "shop-prod", "services": dict(services), **sections}
    return derive(
        Model(document, FOLDER),
        switched,
        Content(release, slot, dict.fromkeys(switched, "sha256:abc"), {"web": variables or {}}),
        front=haproxy.Front("haproxy:2.8", 80),
        placed=placed,
        base="/srv/base",
        present=present,
    )


def web(**keys: Any) -> Any:
    return made({"web": {"image": "a", **keys}}).document["services"]["web-blue"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ports": [{"target": 80, "published": "80"}]}, {"ports": None}),
        ({"container_name": "shop"}, {"container_name": None}),
        ({"mac_address": "02:42:ac:11:65:43"}, {"mac_address": None}),
        ({"build": {"context": "/x"}, "profiles": ["p"]}, {"build": None, "profiles": None}),
        ({"restart": "no"}, {"restart": "unless-stopped"}),
        ({"pull_policy": "always"}, {"pull_policy": "never", "image": "sha256:abc"}),
        ({"stop_grace_period": "5s"}, {"stop_grace_period": "5s"}),
        ({}, {"stop_grace_period": "30s"}),
        ({"environment": {"A": "1", "B": None}}, {"environment": {"A": "1"}}),
        (
            {"labels": {"a": "b"}},
            {"labels": {"a": "b", "invops.release": "r1", "invops.slot": "blue"}},
        ),
        ({"unknown": {"kept": 1}, "x-own": [2]}, {"unknown": {"kept": 1}, "x-own": [2]}),
        (
            {"deploy": {"replicas": 2, "restart_policy": {"condition": "any"}}},
            {"deploy": {"replicas": 2}},
        ),
        (
            {"networks": {"front": {"aliases": ["api"], "ipv4_address": "1.2.3.4", "priority": 5}}},
            {"networks": {"front": {"priority": 5}, "slot-blue": {"aliases": ["web", "api"]}}},
        ),
        (
            {"networks": {"default": None}},
            {"networks": {"default": None, "slot-blue": {"aliases": ["web"]}}},
        ),
        (
            {"container_name": "shop", "networks": {}},
            {"networks": {"slot-blue": {"aliases": ["web", "shop"]}}},
        ),
    ],
)
def test_a_service_can_stand_twice(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = web(**given)
    assert {key: found.get(key) for key in expected} == expected


def test_neighbours_are_those_of_the_own_slot() -> None:
    services = made(
        {
            "web": {"image": "a", "links": ["db:database"], "ipc": "service:worker"},
            "worker": {
                "image": "a",
                "links": ["web:api"],
                "depends_on": {"web": {"condition": "service_healthy"}, "db": {"condition": "x"}},
                "volumes_from": ["web:ro", "db", "container:web"],
            },
            "db": {"image": "b"},
        },
        switched=SERVICES,
    ).document["services"]
    worker = services["worker-blue"]
    assert set(worker["depends_on"]) == {"web-blue", "db"}
    assert worker["links"] == []
    assert worker["volumes_from"] == ["web-blue:ro", "db", "container:web"]
    assert worker["stop_grace_period"] == "90s"
    assert services["web-blue"]["networks"]["slot-blue"]["aliases"] == ["web", "api"]
    assert services["web-blue"]["links"] == ["db:database"]
    assert services["web-blue"]["ipc"] == "service:worker-blue"


def test_others_stay_and_do_not_wait_for_what_is_switched() -> None:
    db = {"image": "postgres", "command": [], "ports": [{"target": 5432}], "container_name": "db"}
    derived = made(
        {
            "web": {"image": "a"},
            "db": db,
            "proxy": {
                "image": "nginx",
                "depends_on": {"web": {}, "db": {}},
                "links": ["web", "db"],
            },
            "cron": {"image": "a", "depends_on": {"web": {}}},
        }
    )
    services = derived.document["services"]
    assert services["db"] == db
    assert services["proxy"]["depends_on"] == {"db": {}}
    assert services["proxy"]["links"] == ["db:db"]
    assert "depends_on" not in services["cron"]
    assert [line.partition(":")[0] for line in derived.changes.dropped] == ["proxy", "cron"]
    assert "[services.cron]" in derived.changes.dropped[1]


def test_a_service_that_is_built_and_not_switched_runs_what_was_built() -> None:
    found = derive(
        Model({"name": "p", "services": {"cron": {"build": {"context": "/x"}}}}, FOLDER),
        {},
        Content("r1", "blue", {"cron": "sha256:built"}),
        front=haproxy.Front("haproxy:2.8", 80),
        placed=NOWHERE,
        base="/srv/base",
    )
    assert found.document["services"]["cron"] == {"image": "sha256:built", "pull_policy": "never"}


def test_the_proxy_is_private_and_in_both_slots() -> None:
    document = made({"web": {"image": "a"}}).document
    proxy = document["services"][haproxy.NAME]
    assert set(proxy["networks"]) == {"slot-blue", "slot-green"} <= set(document["networks"])
    assert document["networks"]["slot-blue"]["name"] == "shop-prod_slot-blue"
    assert [(each["source"], each["read_only"]) for each in proxy["volumes"]] == [
        ("/srv/base/proxy", True),
        ("/srv/base/proxy/run", False),
    ]
    assert (proxy["read_only"], proxy["cap_drop"]) == (True, ["ALL"])
    assert [each["published"] for each in proxy["ports"]] == ["80"]


def test_variables_reach_the_slot_as_they_are_and_win() -> None:
    found = made(
        {"web": {"image": "a", "environment": {"A": "file", "B": "$$x"}}},
        variables={"A": "$ecret", "C": "c"},
    )
    environment = found.document["services"]["web-blue"]["environment"]
    assert environment == {"A": "$$ecret", "B": "$$x", "C": "c"}
    assert "ecret" not in repr(found)


def test_files_are_read_where_the_host_has_them() -> None:
    placed = Placed(
        {
            "/releases/r1/app/a$b.conf": PurePosixPath("files/01/a$b.conf"),
            "/releases/r1/app/data": PurePosixPath("shared/data"),
        },
        {"token": PurePosixPath("files/02/token")},
        (),
    )
    volumes = [
        {"type": "bind", "source": "/releases/r1/app/a$$b.conf", "target": "/a"},
        {"type": "bind", "source": "/releases/r1/app/data", "target": "/d", "bind": {"x": 1}},
        {"type": "bind", "source": "/etc/localtime", "target": "/l"},
        {"type": "volume", "source": "v", "target": "/v"},
    ]
    document = made(
        {"web": {"image": "a", "volumes": volumes}},
        placed=placed,
        volumes={"v": {"driver_opts": {"o": "bind", "device": "/releases/r1/app/data"}}},
        secrets={"token": {"environment": "T"}, "s": {"file": "/releases/r1/app/data"}},
    ).document
    found = document["services"]["web-blue"]["volumes"]
    assert [each["source"] for each in found] == [
        *("/srv/base/files/01/a$$b.conf", "/srv/base/shared/data", "/etc/localtime", "v")
    ]
    assert found[0]["bind"] == {"create_host_path": False} and found[1]["bind"] == {"x": 1}
    assert document["volumes"]["v"]["driver_opts"]["device"] == "/srv/base/shared/data"
    assert document["secrets"] == {
        "token": {"file": "/srv/base/files/02/token"},
        "s": {"file": "/srv/base/shared/data"},
    }


@pytest.mark.parametrize(
    ("services", "switched", "message"),
    [
        ({"web": {"image": "a", "network_mode": "host"}}, {"web": WEB}, "network_mode 'host'"),
        ({"web": {"image": "a"}, "web-green": {"image": "b"}}, {"web": WEB}, "service web-green"),
        ({"web": {"image": "a"}, "invops-proxy": {"image": "b"}}, {"web": WEB}, "invops-proxy"),
        ({"web": {"image": "a"}}, {"web": Service(static=Path("dist"))}, "container = 8000"),
        ({"web": {"image": "a"}, "cron": {"build": {}}}, {"web": WEB}, "cron .* has no image"),
    ],
)
def test_what_cannot_run_twice_is_refused(
    services: dict[str, Any], switched: dict[str, Service], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(services, switched=switched)
    assert re.search(message, f"{caught.value} {caught.value.hint}")


def test_a_network_of_our_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="network slot-blue"):
        made({"web": {"image": "a"}}, networks={"slot-blue": {}})


def test_a_worker_may_use_the_hosts_network() -> None:
    services = {"worker": {"image": "a", "network_mode": "host"}}
    found = made(services, switched={"worker": Service()}).document["services"]["worker-blue"]
    assert found["network_mode"] == "host" and "networks" not in found


def test_what_only_the_other_slot_needs_stays_until_that_slot_is_filled() -> None:
    old = {"web": {"image": "a"}, "cache": {"image": "redis"}}
    volumes = {"data": {"name": "shop_data"}}
    first = made(old, volumes=volumes)
    second = made({"web": {"image": "a"}}, slot="green", present=first.document)
    assert second.document["services"]["cache"] == {"image": "redis"}
    assert second.document["volumes"] == volumes
    assert second.changes.gone == ("cache",)
    assert "cache: ends when no slot needs it any more" in second.changes.lines({"cache"})
    again = made({"web": {"image": "a"}}, slot="green", present=second.document)
    assert "cache" in again.document["services"]

    third = made({"web": {"image": "a"}}, slot="blue", present=second.document)
    assert "cache" not in third.document["services"]
    assert third.document["x-invops"] == {"gone": {}, "ended": ["cache"]}
    back = made(old, slot="green", present=second.document)
    assert back.document["x-invops"] == {"gone": {}, "ended": []}


def test_changes_are_names_never_values() -> None:
    first = made({"web": {"image": "a"}, "db": {"image": "p", "environment": {"P": "hidden"}}})
    second = made(
        {
            "web": {"image": "a", "ports": [{"target": 8000, "published": "8000"}]},
            "db": {"image": "p", "environment": {"P": "hidden too"}},
            "new": {"image": "n"},
        },
        slot="green",
        present=first.document,
        volumes={"data": {}, "there": {"external": True}},
    )
    lines = list(second.changes.lines({"web-blue", "db", "invops-proxy"}))
    assert lines == [
        "web: new copy in slot green, image abc",
        "db: recreated because its definition changed",
        "new: started for the first time",
        "invops-proxy: untouched",
        "volume data: made",
        "web: port 8000 is not published, the proxy answers instead",
    ]
    assert "hidden" not in json.dumps(lines) + repr(second)


def test_another_proxy_is_told_with_what_it_means() -> None:
    first = made({"web": {"image": "a"}})
    present = json.loads(json.dumps(first.document))
    present["services"][haproxy.NAME]["image"] = "haproxy:2.6"
    found = made({"web": {"image": "a"}}, slot="green", present=present)
    assert (
        "invops-proxy: recreated because its definition changed; "
        "no requests are answered for a moment"
    ) in found.changes.lines({haproxy.NAME})


def test_what_does_not_run_is_started_whether_it_changed_or_not() -> None:
    same = {"web": {"image": "a"}, "cache": {"image": "r"}}
    first = made({**same, "db": {"image": "p"}})
    second = made({**same, "db": {"image": "q"}}, slot="green", present=first.document)
    started = [f"{name}: started: it does not run" for name in ("db", "cache", "invops-proxy")]
    assert list(second.changes.lines(set()))[1:] == started
