from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from ops.deploy.compose import registry
from ops.hosts import http
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, NotPermitted
from tests.deploy.conftest import Contexts

COMPOSE = """
[app]
name = "shop"
[services.web]
container = 8000
[environments.development]
target = "compose"
hosts = ["root@web1"]
registry = "{place}"
registry_user = "file:user"
registry_password = "file:password"
"""
Place = Callable[[str], Context]


@pytest.fixture
def at(context_of: Contexts) -> Place:
    def make(place: str) -> Context:
        context = context_of(COMPOSE.format(place=place))
        for name, text in (("user", "deployer"), ("password", "of-the-registry")):
            path = context.settings.folder / name
            path.write_text(text)
            path.chmod(0o600)
        return context

    return make


class Registry(BaseHTTPRequestHandler):
    """Answers like a registry that wants what `challenge` says."""

    challenge = ""
    asked: list[str]

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        type(self).asked.append(base64.b64decode(given.removeprefix("Basic ")).decode())
        right = self.asked[-1] == "deployer:of-the-registry" or not self.challenge
        self.send_response(200 if right and "Bearer" not in self.challenge else 401)
        self.send_header("WWW-Authenticate", self.challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Registry.asked, Registry.challenge = [], ""
    with HTTPServer(("127.0.0.1", 0), Registry) as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("registry.example.org/shop", "registry.example.org"),
        ("registry.example.org", "registry.example.org"),
        ("localhost/shop", "localhost"),
        ("registry:5000/a/b", "registry:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("team/shop", "docker.io"),
        ("team", "docker.io"),
    ],
)
def test_login_is_to_the_host_that_docker_takes_the_name_for(
    at: Place, place: str, host: str
) -> None:
    assert registry.credentials(at(place)) == {
        "registry": host,
        "user": "deployer",
        "password": "of-the-registry",
    }


@pytest.mark.parametrize("challenge", ["", 'Basic realm="r"', 'Bearer realm="r"'])
def test_registry_that_knows_us_or_gives_tokens_is_fine(
    at: Place, server: HTTPServer, challenge: str
) -> None:
    Registry.challenge = challenge
    registry.check(at(f"127.0.0.1:{server.server_port}/shop"))
    assert Registry.asked == ["deployer:of-the-registry"]


def test_wrong_password_is_refused_without_being_shown(at: Place, server: HTTPServer) -> None:
    Registry.challenge = 'Basic realm="r"'
    context = at(f"127.0.0.1:{server.server_port}/shop")
    (context.settings.folder / "password").write_text("another-password")
    with pytest.raises(NotPermitted) as caught:
        registry.check(context)
    assert "refuses the login" in str(caught.value)
    assert "another-password" not in str(caught.value) + caught.value.hint


def test_registry_that_does_not_answer(at: Place, server: HTTPServer) -> None:
    address = f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionFailed, match=f"registry {address} does not answer") as caught:
        registry.check(at(f"{address}/shop"))
    assert caught.value.exit_code == 4


def test_without_a_registry_nothing_is_asked(context_of: Contexts) -> None:
    context = context_of(COMPOSE.partition("registry = ")[0])
    registry.check(context)
    assert registry.credentials(context) is None
    with registry.login(context) as variables:
        assert variables == {}


def test_password_goes_to_another_machine_with_tls_only(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(url: str, **_: object) -> None:
        asked.append(url)
        raise ConnectionFailed("no answer", why="refused")

    monkeypatch.setattr(http, "get", refuse)
    with pytest.raises(ConnectionFailed):
        registry.check(at("registry.example.org/shop"))
    assert asked == ["https://registry.example.org/v2/"]
