"""The web service: `/` and `/health` say the version, `/slow` takes two seconds; MODE says how it fails."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "8000"))
VERSION = os.environ.get("VERSION", "none")
# good; crash: ends at once; sick: never healthy; sour: healthy, then each request fails.
MODE = os.environ.get("MODE", "good")
SOUR_AFTER_REQUESTS = 20
SLOW_SECONDS = 2.0


class Answers(BaseHTTPRequestHandler):
    """Answers requests, connections stay open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    busy = 0  # requests in hand
    asked = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Answer a request to read."""
        with Answers.lock:
            Answers.busy += 1
        try:
            self.answer(self.status(self.path.split("?")[0]))
        finally:
            with Answers.lock:
                Answers.busy -= 1

    def do_POST(self) -> None:
        """Answer a request to write, after its body."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def status(self, path: str) -> int:
        """Work, and return how it went."""
        if path == "/health":
            return 503 if MODE == "sick" else 200
        if path == "/slow":
            time.sleep(SLOW_SECONDS)
        with Answers.lock:
            Answers.asked += 1
            return 500 if MODE == "sour" and Answers.asked > SOUR_AFTER_REQUESTS else 200

    def answer(self, status: int) -> None:
        """Send the version as JSON."""
        body = json.dumps({"version": VERSION, "status": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256


def main() -> None:
    """Serve until SIGTERM; the requests in hand are finished."""
    if MODE == "crash":
        sys.exit(f"version {VERSION} cannot start: it was told to crash")
    server = Server(("", PORT), Answers)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"version {VERSION} serves on port {PORT}")
    server.serve_forever(poll_interval=0.05)
    while Answers.busy:
        time.sleep(0.02)


if __name__ == "__main__":
    main()
