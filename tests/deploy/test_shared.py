"""Where people find the application after a deploy."""

from __future__ import annotations

import pytest

from ops.deploy import shared
from tests.deploy.conftest import Contexts

OPS_TOML = """
[app]
name = "shop"
[services.web]
container = 8000
[environments.development]
target = "compose"
{where}
"""


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("", "http://127.0.0.1:8080"),
        ('hosts = ["deploy@web1:2222"]', "http://web1:8080"),
        ('hosts = ["a@web1", "a@[::1]"]', "http://web1:8080, http://[::1]:8080"),
        ('hosts = ["a@web1"]\nport = 80', "http://web1"),
        ('domain = "shop.example.org"', "https://shop.example.org"),
    ],
)
def test_address_is_that_of_the_proxies(context_of: Contexts, where: str, address: str) -> None:
    assert shared.url(context_of(OPS_TOML.format(where=where)).settings) == address
