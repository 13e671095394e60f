from __future__ import annotations

import pytest

from ops.deploy import verify
from tests.deploy.conftest import release

WEB = {"command": "serve {port}", "port": 8000, "health": "/health"}


@pytest.mark.parametrize(
    ("services", "routed"),
    [
        ({"web": {**WEB, "route": ["/"]}}, {"web"}),
        ({"web": {**WEB, "route": ["/api"]}}, set()),
        ({"web": {**WEB, "route": ["/api", "/health"]}}, {"web"}),
        ({"web": {**WEB, "route": ["/"]}, "other": {**WEB, "route": ["/health"]}}, {"other"}),
        ({"web": {**WEB, "route": ["/"]}, "other": {**WEB, "route": ["/healthy"]}}, {"web"}),
        (
            {"web": {**WEB, "route": ["/"]}, "files": {"static": "dist", "route": ["/health/"]}},
            set(),
        ),
        ({"worker": {"command": "work"}}, set()),
    ],
    ids=["all", "elsewhere", "two routes", "longer route", "similar route", "of files", "no web"],
)
def test_health_is_asked_through_the_proxy_where_the_proxy_leads_to_it(
    services: dict[str, dict[str, object]], routed: set[str]
) -> None:
    made = release("a", 1, services=services)
    assert {name for name in services if verify._is_routed(made, name)} == routed
