from __future__ import annotations

from typing import Any

import pytest

from ops.kernel.settings import data
from ops.kernel.settings.models import Service


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"command": "x"}, {"development": "x", "route": (), "health": "/", "live": "/"}),
        ({"command": "x", "development": "y"}, {"development": "y"}),
        ({"command": "x", "port": 80}, {"route": ("/",)}),
        ({"command": "x", "port": 80, "route": []}, {"route": ("/",)}),
        ({"command": "x", "port": 80, "route": ["/a"]}, {"route": ("/a",)}),
        ({"static": "dist"}, {"route": ("/",), "development": "", "command": ""}),
        ({"command": "x", "health": "/h"}, {"health": "/h", "live": "/h"}),
        ({"command": "x", "health": "/h", "live": "/"}, {"health": "/h", "live": "/"}),
        ({"command": "x", "live": "/l"}, {"health": "/", "live": "/l"}),
    ],
)
def test_what_is_not_said_follows_from_what_is(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    service = Service.model_validate(given)

    assert {key: getattr(service, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "web", "static"),
    [
        ({"command": "x", "port": 80}, True, False),
        ({"command": "x", "route": ["/"]}, True, False),
        ({"command": "x"}, False, False),
        ({"static": "dist", "port": 80}, False, True),
        ({}, False, False),
    ],
)
def test_a_service_is_web_or_static_or_neither(
    given: dict[str, Any], web: bool, static: bool
) -> None:
    service = Service.model_validate(given)

    assert (service.is_web, service.is_static) == (web, static)


@pytest.mark.parametrize(
    ("given", "port", "route"),
    [
        ({"container": 8000}, 8000, ("/",)),
        ({"container": 8000, "route": ["/api"]}, 8000, ("/api",)),
        ({"command": "x {port}", "port": 5000}, 5000, ("/",)),
        ({"command": "x {port}", "port": 5000, "container": 80}, 80, ("/",)),
        ({"static": "dist", "port": 5173}, None, ("/",)),  # that of the development server
        ({"static": "dist", "container": 80}, 80, ("/",)),
        ({"command": "x"}, None, ()),
        ({}, None, ()),
    ],
)
def test_a_container_listens_on_its_port_and_is_routed_to(
    given: dict[str, Any], port: int | None, route: tuple[str, ...]
) -> None:
    service = Service.model_validate(given)

    assert (service.container_port, service.route) == (port, route)


@pytest.mark.parametrize("how", ["exclude_defaults", "exclude_unset"])
@pytest.mark.parametrize(
    "given",
    [
        {"command": "x {port}", "port": 80, "health": "/h", "live": "/", "stop_timeout": "2m"},
        {"static": "dist", "directory": "web", "build": ["make"]},
        {"command": "x", "environment": {"A": "b"}, "secrets": {"K": "env:K"}},
    ],
)
def test_a_recorded_service_is_read_back_the_same(given: dict[str, Any], how: str) -> None:
    service = Service.model_validate(given)
    options: dict[str, Any] = {how: True}

    assert Service.model_validate(service.model_dump(mode="json", **options)) == service


@pytest.mark.parametrize(
    ("text", "seconds"), [("36h", 129_600), ("90d", 7_776_000), ("2 w", 1_209_600)]
)
def test_an_age_is_hours_days_or_weeks(text: str, seconds: int) -> None:
    assert data.Cleanup(table="events", column="at", keep=text).keep == seconds  # type: ignore[arg-type]
