"""The proxy's configuration as text, and its client where no proxy answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.haproxy import (
    Backend,
    Proxy,
    Routing,
    active_in,
    check_config,
    command,
    master,
    render,
    structure_digest,
)
from ops.hosts.runner import Result
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, ConnectionFailed, NotPermitted

SERVERS = {"blue": "unix@/run/x/blue-api.sock", "green": "unix@/run/x/green-api.sock"}
API = Backend("api", ("/api", "/health/"), "/health/live", SERVERS)
WEB = Backend("web", ("/",), "/", {"blue": "127.0.0.1:8001", "green": "127.0.0.1:8002"})
DEEP = Backend("deep", ("/api/deep",), "/", SERVERS)
ROUTING = Routing(
    "shop-local", "127.0.0.1:8080", Path("/run/x/admin.sock"), (WEB, API, DEEP), "green"
)


def lines(routing: Routing, start: str) -> list[str]:
    return [line.strip() for line in render(routing).splitlines() if line.strip().startswith(start)]


def test_longest_prefix_comes_first_and_the_root_last() -> None:
    assert lines(ROUTING, "use_backend") + lines(ROUTING, "default_backend") == [
        "use_backend deep if { path /api/deep } || { path_beg /api/deep/ }",
        "use_backend api if { path /health } || { path_beg /health/ }",
        "use_backend api if { path /api } || { path_beg /api/ }",
        "default_backend web",
    ]


def test_without_a_root_other_paths_are_refused_in_words() -> None:
    assert lines(replace(ROUTING, backends=(API,)), "default_backend") == [
        "default_backend :unrouted"
    ]


@pytest.mark.parametrize(
    ("active", "enabled"),
    [("green", ["127.0.0.1:8002"]), ("blue", ["127.0.0.1:8001"]), (None, [])],
)
def test_only_the_active_slot_is_enabled(active: str | None, enabled: list[str]) -> None:
    routing = replace(ROUTING, backends=(WEB,), active=active)
    servers = lines(routing, "server ")
    assert [line.split()[2] for line in servers if not line.endswith(" disabled")] == enabled
    assert active_in(render(routing)) == (active or "")


@pytest.mark.parametrize(
    "other",
    [
        replace(ROUTING, bind="127.0.0.1:8081"),
        replace(ROUTING, backends=(WEB, API)),
        replace(ROUTING, backends=(WEB, DEEP, replace(API, prefixes=("/api",)))),
        replace(ROUTING, backends=(WEB, DEEP, replace(API, health_path="/other"))),
        replace(ROUTING, backends=(WEB, DEEP, replace(API, servers=WEB.servers))),
    ],
)
def test_digest_changes_with_everything_that_needs_a_reload(other: Routing) -> None:
    assert structure_digest(other) != structure_digest(ROUTING)


def test_digest_stays_when_only_the_slot_changes_and_is_in_the_file() -> None:
    digest = structure_digest(ROUTING)
    assert structure_digest(replace(ROUTING, active="blue")) == digest
    assert f'description "shop-local {digest}"' in render(ROUTING)


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        (
            replace(ROUTING, backends=(replace(API, prefixes=("/a b",)),)),
            "route of service api: '/a b'",
        ),
        (
            replace(ROUTING, backends=(replace(API, prefixes=("api",)),)),
            "route of service api: 'api'",
        ),
        (replace(ROUTING, backends=(replace(API, prefixes=("/a\n",)),)), "route of service api"),
        (
            replace(ROUTING, backends=(replace(API, health_path="/x }"),)),
            "health path of service api",
        ),
        (replace(ROUTING, backends=(replace(API, service="a b"),)), "name of the service"),
        (
            replace(ROUTING, backends=(replace(API, servers={**SERVERS, "blue": "/x"}),)),
            "in slot blue",
        ),
        (replace(ROUTING, name='a"b'), "name of the proxy"),
        (replace(ROUTING, bind="127.0.0.1:80 ssl"), "address to listen on"),
        (
            replace(ROUTING, backends=(API, replace(API, service="two"))),
            "/api belongs to two services",
        ),
    ],
)
def test_what_could_break_the_file_is_refused(routing: Routing, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        render(routing)
    assert message in str(caught.value)


def test_master_socket_is_on_the_command_line_and_private() -> None:
    found = command(Path("/usr/sbin/haproxy"), Path("/x/haproxy.cfg"), Path("/run/x/admin.sock"))
    assert found == [
        *("/usr/sbin/haproxy", "-W", "-db", "-S", "/run/x/admin.sock,mode,600,level,admin"),
        *("-f", "/x/haproxy.cfg"),
    ]


def test_refused_configuration_shows_haproxys_words() -> None:
    check_config(Result(0, "", "[WARNING] (1) : config : old"))
    alert = "[ALERT]    (1) : config : parsing [a.cfg:3] : unknown keyword 'x'\n[ALERT]    (1) : config : Fatal"
    with pytest.raises(ConfigurationError) as caught:
        check_config(Result(1, "", alert))
    assert "unknown keyword 'x'" in caught.value.why
    with pytest.raises(ConfigurationError, match="cannot open"):
        check_config(Result(1, "", "cannot open"))


def test_proxy_that_does_not_run_is_said_so(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "none.sock")
    assert not proxy.running()
    with pytest.raises(ConnectionFailed, match=r"does not answer at .*none\.sock: No such file"):
        proxy.active_slot()
    with pytest.raises(ConnectionFailed, match=r"within 0\.1 s"):
        proxy.wait_answering(Deadline(0.1))


def test_socket_of_somebody_else_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(NotPermitted, match="may not use the proxy's socket"):
        Proxy(Path("/run/x/admin.sock")).running()


@contextmanager
def answering(path: Path, answer: bytes, *, hang: bool = False) -> Iterator[None]:
    """Answer once like a master process, then hang up or keep the line."""
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
                done.wait(10 if hang else 0)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"Can't find the target PID matching the prefix '@1'\n", "has no worker"),
        (b"Name: HAProxy\n\n", "does not say what it runs"),
    ],
)
def test_strange_answers_are_connection_errors(tmp_path: Path, answer: bytes, message: str) -> None:
    path = tmp_path / "s"
    with (
        answering(path, answer, hang=b"target" in answer),
        pytest.raises(ConnectionFailed, match=message),
    ):
        Proxy(path).structure()


def test_answer_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "ANSWER_SECONDS", 0.1)
    path = tmp_path / "s"
    with (
        answering(path, b"Name: HAProxy\n", hang=True),
        pytest.raises(ConnectionFailed, match="timed out"),
    ):
        Proxy(path).structure()
