"""A web service of the standard library: `python3 app.py PORT`. The file `behaviour` makes it misbehave."""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = Path("behaviour").read_text().strip() if Path("behaviour").exists() else ""
VERSION = "another" if BEHAVIOUR == "lie" else os.environ["APP_VERSION"]


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with its release; /slow takes two seconds."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(2)
        unready = BEHAVIOUR == "unready" and self.path == "/health"
        answer = {"version": VERSION, "path": self.path, "greeting": os.environ.get("GREETING", "")}
        body = json.dumps({**answer, "service": sys.argv[2:]}).encode()
        self.send_response(503 if unready else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    if BEHAVIOUR == "crash":
        sys.exit("the configuration of the tiny application is broken")
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
