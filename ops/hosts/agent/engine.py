"""Questions to Docker's engine over its socket, as `docker` asks them: starting a program takes ten times as long.

Only where the socket is known without doubt. Elsewhere, and when the engine does not answer, the caller asks `docker`:
it knows contexts, TLS and SSH, and says what is wrong.

Source: Docker Engine API, "Containers"; its answers are those of `docker inspect`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

DEFAULT = "/var/run/docker.sock"
_FOUND = 200
_GONE = 404


class _Unix(http.client.HTTPConnection):
    """HTTP over a socket of this host.

    Args:
        path: The socket.
        seconds: How long each answer may take.
    """

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def labelled(labels: Sequence[str], seconds: float) -> list[dict[str, Any]] | None:
    """Return what is known of all containers with some labels, running or not; None: ask `docker`.

    Args:
        labels: Each as `name=value`.
        seconds: How long an answer may take.
    """
    filters = quote(json.dumps({"label": list(labels)}))
    found = _ask([f"/containers/json?all=1&filters={filters}"], seconds)
    return None if found is None else inspected([each["Id"] for each in found[0]], seconds)


def inspected(ids: Sequence[str], seconds: float) -> list[dict[str, Any]] | None:
    """Return what is known of containers, without those that are gone; None: ask `docker`."""
    return _ask([f"/containers/{quote(each)}/json" for each in ids], seconds)


def _ask(paths: Sequence[str], seconds: float) -> list[Any] | None:
    """Return what is found at some paths."""
    if not (place := _socket()):
        return None
    connection = _Unix(place, seconds)
    try:
        return [found for found in (_get(connection, each) for each in paths) if found is not None]
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _get(connection: _Unix, path: str) -> Any:
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status == _GONE:
        return None
    if answer.status != _FOUND:
        raise ValueError(f"{path}: {answer.status}")
    return json.loads(data)


def _socket() -> str:
    """Return where `docker` would find the engine, empty when that is not a plain socket."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return host[len("unix://") :] if host.startswith("unix:///") else ""
    if os.environ.get("DOCKER_CONTEXT"):
        return ""
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        chosen = json.loads(config.read_text("utf-8")).get("currentContext", "")
    except FileNotFoundError:
        chosen = ""
    except (OSError, ValueError, AttributeError):
        return ""
    return DEFAULT if chosen in ("", "default") else ""
