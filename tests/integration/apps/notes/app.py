"""Notes in MariaDB: `python app.py PORT`."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)


class Handler(BaseHTTPRequestHandler):
    """Answers /health and /notes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT body FROM note ORDER BY id")).all()
        answer: dict[str, Any] = {"version": os.environ["APP_VERSION"]}
        if self.path == "/notes":
            answer = {"notes": [row[0] for row in rows]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
