"""An S3 service for tests: moto over HTTP in its own process, and a proxy before it that breaks what it is told to.

What moto does not do as Amazon does, so that no test trusts it there: it compares no checksum of a part, and forgets
the Object Lock that a multipart upload asks for.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ops.backup.storage.s3 import S3Store
from tests.support import runs
from tests.support.local import eventually

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
PREFIX = "backups/sample/development"
LEAST_PART = 5 * 1024 * 1024
"""Bytes; S3 takes no smaller one before the last."""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables that lead boto3 to nothing but these."""
_NUMBERS = itertools.count(1)
_HOP = {"connection", "transfer-encoding", "content-length", "expect"}
_PIECE = 64 * 1024


@dataclass
class Fault:
    """What the proxy does to requests.

    Args:
        method: Of the requests.
        pattern: Expression that is found in their path with its query.
        kind: Answer with `status`; wait `seconds` before the answer; close the connection after `bytes` of the
            request's body (`drop request`) or of the answer's body (`drop answer`).
        skip: How many such requests pass before the first that is hit.
        times: How many are hit.
    """

    method: str
    pattern: str
    kind: Literal["status", "wait", "drop request", "drop answer"]
    status: int = 500
    code: str = "InternalError"
    seconds: float = 0.0
    bytes: int = 0
    skip: int = 0
    times: int = 1
    hits: int = 0


@dataclass
class Service:
    """A running service.

    Args:
        endpoint: Of the proxy.
        direct: Of moto itself.
        faults: In force; a test appends to them.
        requests: Method and path of all that came, "PUT /bucket/key?partNumber=1".
        headers: Of each of these.
    """

    endpoint: str
    direct: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> S3Client:
        """Return a client of the tests' own, past the proxy."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.direct,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self, *, lock: bool = False) -> str:
        """Make a bucket and return its name."""
        name = f"bucket-{next(_NUMBERS)}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    def calm(self) -> None:
        """Forget faults and requests."""
        with self._lock:
            self.faults.clear()
            self.requests.clear()
            self.headers.clear()

    def fault_of(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """Record a request and return what happens to it."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            self.headers.append(headers)
            for each in self.faults:
                if each.method == method and re.search(each.pattern, path):
                    each.hits += 1
                    if each.skip < each.hits <= each.skip + each.times:
                        return each
        return None


@contextmanager
def service() -> Iterator[Service]:
    """Run moto and the proxy for a block."""
    with _moto() as direct, _Proxy(direct) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy.service
        finally:
            proxy.shutdown()
            thread.join()


def project(service: Service, folder: Path, lines: str = "") -> Path:
    """Make a project whose backups go to the service, with more lines for its [backup]."""
    folder.mkdir(exist_ok=True)
    made = runs.project(folder)
    with (made / "ops.toml").open("a") as file:
        file.write(
            f'[backup]\ns3_endpoint = "{service.endpoint}"\ns3_region = "{REGION}"\n{lines}\n'
        )
    return made


def store(
    service: Service, bucket: str, folder: Path, lines: str = "", seconds: float = 60
) -> S3Store:
    """Return the store of such a project below PREFIX."""
    return S3Store(
        runs.context(project(service, folder / "project", lines), seconds), bucket, PREFIX
    )


@contextmanager
def _moto() -> Iterator[str]:
    with tempfile.TemporaryFile() as output:
        argv = [sys.executable, "-m", "moto.server", "-p", "0"]
        with subprocess.Popen(argv, stdout=output, stderr=output) as process:
            try:
                found: list[str] = []

                def started() -> bool:
                    said = os.pread(output.fileno(), 65536, 0).decode()
                    found[:] = re.findall(r"Running on (http://[\d.:]+)", said)
                    return bool(found) or process.poll() is not None

                assert eventually(started, 60) and found, "moto does not start"
                yield found[0]
            finally:
                process.kill()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, direct: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = Service(f"http://127.0.0.1:{self.server_port}", direct)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _pass(self) -> None:
        with contextlib.suppress(OSError):
            fault = self.server.service.fault_of(self.command, self.path, dict(self.headers))
            length = int(self.headers.get("Content-Length", 0))
            if fault is not None and fault.kind == "drop request":
                self.rfile.read(min(length, fault.bytes))
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = self.rfile.read(length)
            if fault is not None and fault.kind == "wait":
                time.sleep(fault.seconds)
            if fault is not None and fault.kind == "status":
                self._refuse(fault)
            else:
                self._forward(body, fault)

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        host = self.server.service.direct.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(host)) as upstream:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            content = answer.read()
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
        if fault is not None and fault.kind == "drop answer":
            content = content[: fault.bytes]
            self.close_connection = True
        self.wfile.write(content)

    def _refuse(self, fault: Fault) -> None:
        text = f"<Error><Code>{fault.code}</Code><Message>told to</Message></Error>"
        content = b"" if self.command == "HEAD" else text.encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def address_string(self) -> str:
        return "test"
