"""Docker's engine asked over its socket: a server of ours stands in, because which socket counts is what matters."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from ops.hosts.agent import engine


class Asked(BaseHTTPRequestHandler):
    """Knows two containers, of which one goes away at once."""

    protocol_version = "HTTP/1.1"
    paths: ClassVar[list[str]] = []
    status = 200

    def do_GET(self) -> None:
        self.paths.append(self.path)
        url = urlsplit(self.path)
        if url.path == "/containers/json":
            self.tell(self.status, [{"Id": "a"}, {"Id": "b"}])
        elif url.path == "/containers/a/json":
            self.tell(self.status, {"Id": "a", "Image": "sha256:1"})
        else:
            self.tell(404, {"message": "No such container: b"})

    def tell(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "here"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "docker.sock"
    monkeypatch.setattr(Asked, "paths", [])
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(engine, "DEFAULT", str(path))
    with socketserver.ThreadingUnixStreamServer(str(path), Asked) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def test_containers_with_labels_are_told_without_those_that_are_gone(place: Path) -> None:
    found = engine.labelled(["x=1", "y=ü & z"], 10)
    assert found == [{"Id": "a", "Image": "sha256:1"}]
    asked = parse_qs(urlsplit(Asked.paths[0]).query)
    assert json.loads(asked["filters"][0]) == {"label": ["x=1", "y=ü & z"]}
    assert asked["all"] == ["1"]


def test_nobody_is_asked_about_no_container(place: Path) -> None:
    assert engine.inspected([], 10) == []


@pytest.mark.parametrize(
    ("variables", "config", "known"),
    [
        ({}, None, True),
        ({}, "{}", True),
        ({}, '{"currentContext": "default"}', True),
        ({"DOCKER_HOST": "unix://{}"}, None, True),
        ({}, '{"currentContext": "remote"}', False),
        ({}, "no json", False),
        ({"DOCKER_CONTEXT": "remote"}, None, False),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, None, False),
        ({"DOCKER_HOST": "ssh://somewhere"}, None, False),
        ({"DOCKER_HOST": "unix:///nowhere"}, None, False),
    ],
)
def test_docker_is_asked_where_the_socket_is_not_known_without_doubt(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    config: str | None,
    known: bool,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(place))
    if config is not None:
        (place.parent / "config.json").write_text(config)
    assert (engine.inspected(["a"], 10) is not None) == known


@pytest.mark.parametrize("status", [403, 500])
def test_docker_is_asked_when_the_engine_does_not_answer_well(
    place: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(Asked, "status", status)
    assert engine.labelled(["x=1"], 10) is None
