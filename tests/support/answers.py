"""A server whose every answer a test decides."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Reply:
    """One answer.

    Args:
        status: HTTP status.
        body: Its body.
        headers: Beside Content-Length.
        pause: Seconds before each byte of the body.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


def _handler(reply: Callable[[], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = reply()
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for byte in (
                    [told.body[n : n + 1] for n in range(len(told.body))]
                    if told.pause
                    else [told.body]
                ):
                    time.sleep(told.pause)
                    self.wfile.write(byte)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

        def address_string(self) -> str:
            return "test"

    return Handler


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(reply: Callable[[], Reply], path: Path | None = None) -> Iterator[str]:
    """Serve on a Unix socket, or on a free port; give the address as `unix@/path` or `127.0.0.1:port`."""
    server: _Unix | _Tcp
    if path:
        server, address = _Unix(str(path), _handler(reply)), f"unix@{path}"
    else:
        server = _Tcp(("127.0.0.1", 0), _handler(reply))
        address = "127.0.0.1:{1}".format(*server.socket.getsockname())
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield address
        server.shutdown()
        thread.join()
