"""What `inv deploy.check` makes of what a host says."""

from __future__ import annotations

from typing import Any

import pytest

from ops.deploy.compose import check, haproxy
from ops.deploy.compose.survey import Survey


@pytest.mark.parametrize(
    ("told", "brought", "state", "words"),
    [
        ({"here": True, "why": ""}, False, "ok", "haproxy:2.8"),
        ({"here": False, "why": ""}, False, "ok", "is fetched by the deploy"),
        ({"here": False, "why": "no such host"}, True, "ok", "is brought from here"),
        ({"here": False, "why": "no such host"}, False, "wrong", "cannot be fetched: no such host"),
    ],
)
def test_image_is_there_fetched_brought_or_missing(
    told: dict[str, Any], brought: bool, state: str, words: str
) -> None:
    host = Survey("web1", {}, None, None, None, {haproxy.NAME: told, "cache": told}, 0.0)
    found = check._image(host, haproxy.NAME, "haproxy:2.8", "proxy_image", brought=brought)
    assert (found.check, found.state) == ("proxy image", state) and words in found.found
    assert check._image(host, "cache", "redis:7", "").check == "image of cache"
