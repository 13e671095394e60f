from __future__ import annotations

import socket

from ops.deploy import places
from ops.kernel.settings.models import Service, Settings
from tests.deploy.conftest import Contexts


def services(settings: Settings) -> dict[str, Service]:
    return dict(settings.services)


def port(settings: Settings, slot: str) -> int:
    where = places.address(settings, "web", settings.services["web"], slot)
    return int(where.removeprefix("127.0.0.1:"))


def allocate(settings: Settings, slot: str) -> tuple[int, int]:
    (settings.options.home or settings.folder).mkdir(exist_ok=True)
    places.slot_file(settings, slot).parent.parent.mkdir(parents=True, exist_ok=True)
    places.allocate_ports(settings, slot, services(settings))
    return port(settings, "blue"), port(settings, "green")


def test_other_slot() -> None:
    assert [places.other(each) for each in places.SLOTS] == ["green", "blue"]


def test_ports_are_chosen_once_and_differ(context_of: Contexts) -> None:
    settings = context_of().settings
    assert port(settings, "blue") == 0
    blue, green = allocate(settings, "blue")
    assert 0 not in (blue, green) and blue != green
    assert allocate(settings, "green") == (blue, green)


def test_port_of_the_idle_slot_that_somebody_took_is_replaced(context_of: Contexts) -> None:
    settings = context_of().settings
    blue, green = allocate(settings, "blue")
    with socket.create_server(("127.0.0.1", blue)):
        assert allocate(settings, "green") == (blue, green)
        other, same = allocate(settings, "blue")
    assert other != blue and same == green


def test_sockets_carry_environment_slot_and_service(context_of: Contexts) -> None:
    settings = context_of(environment="second").settings
    where = places.address(settings, "other", settings.services["other"], "green")
    assert where.startswith("unix@/") and where.endswith("/second-green-other.sock")
