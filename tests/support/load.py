"""Load on a server of this machine, and what failed.

A process of its own, so that a busy test does not slow it: 200 requests a second on new connections, 200 on kept
ones, and POSTs, in flight all the time, half on new and half on kept connections. Sockets by hand: nothing retries
behind our back. A kept connection that the server has closed before a request is sent is opened again, as a browser
does; one that ends after it was sent is a failure.

    with Load("127.0.0.1", 8080, "/", "/orders?seconds=2") as load:
        ...
    assert load.result().failed == 0, load.result()
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

RATE = 200
"""Requests a second, on new connections and again on kept ones."""
KEPT = 40
POSTERS = 2
"""On new connections, and as many on kept ones; with POSTs of 2 s that is one a second of each."""
ANSWER_SECONDS = 15.0
END_SECONDS = 20.0


@dataclass
class Counts:
    """Requests of each kind and what went wrong.

    Args:
        new: GETs on new connections.
        kept: GETs on kept connections.
        posts: POSTs, on both.
        errors: How often each failure was seen, with its kind.
        bodies: How often each body of a GET was seen: which release answered.
        slowest: Seconds that the slowest GET took.
    """

    new: int = 0
    kept: int = 0
    posts: int = 0
    errors: dict[str, int] = field(default_factory=Counter)
    bodies: dict[str, int] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def failed(self) -> int:
        """Number of all failed requests."""
        return sum(self.errors.values())

    @property
    def answered_posts(self) -> int:
        """Number of POSTs that were answered with 2xx: what the server must have stored."""
        return self.posts - sum(
            number for kind, number in self.errors.items() if kind.startswith("posts:")
        )


class Load:
    """Load while a block runs.

    Args:
        host: Must be 127.0.0.1.
        port: TCP port.
        get_path: Path of the quick requests.
        post_path: Path of the slow requests.
        post_body: JSON that is sent with them.
        new: Requests a second on new connections.
        limit: Seconds after which it ends by itself.
    """

    def __init__(
        self,
        host: str,
        port: int,
        get_path: str,
        post_path: str,
        *,
        post_body: str = "{}",
        new: int = RATE,
        limit: float = 240.0,
    ) -> None:
        if host != "127.0.0.1":
            raise ValueError("load is for this machine only")
        given = {
            "port": port,
            "get_path": get_path,
            "post_path": post_path,
            "post_body": post_body,
            "new": new,
            "limit": limit,
        }
        self._argv = [sys.executable, __file__, json.dumps(given)]
        self._process: subprocess.Popen[str] | None = None
        self._counts: Counts | None = None

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        with self._process as process:
            try:
                output, _ = process.communicate(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self._counts = Counts(**json.loads(output))

    def result(self) -> Counts:
        """Return the counts, after the block."""
        assert self._counts is not None, "the load still runs"
        return self._counts


class _Client:
    """All requests of one run."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.counts = Counts()
        self.stop = False
        self.get = f"GET {given['get_path']} HTTP/1.1\r\nHost: localhost\r\n".encode()
        body = given["post_body"].encode()
        self.post = (
            f"POST {given['post_path']} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
        ).encode()
        self.body = body

    async def run(self) -> None:
        """Work until standard input ends or the limit is reached."""
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, sys.stdin.read).add_done_callback(self._end)
        loop.call_later(self.given["limit"], self._end)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._open_loop(group))
            for number in range(KEPT):
                group.create_task(self._kept_gets(number / RATE))
            for number in range(POSTERS):
                group.create_task(self._posts(number, kept=False))
                group.create_task(self._posts(number, kept=True))

    def _end(self, *_: object) -> None:
        self.stop = True

    async def _open_loop(self, group: asyncio.TaskGroup) -> None:
        begin = time.monotonic()
        for number in range(sys.maxsize):
            if await self._stopped(begin + number / self.given["new"] - time.monotonic()):
                return
            group.create_task(self._once(self.get, b"", "new"))

    async def _kept_gets(self, offset: float) -> None:
        connection = _Connection(self.given["port"])
        due = time.monotonic() + offset
        while not await self._stopped(due - time.monotonic()):
            due += KEPT / RATE
            await self._request(connection, self.get, b"", "kept")
        await connection.close()

    async def _posts(self, number: int, *, kept: bool) -> None:
        connection = _Connection(self.given["port"])
        pause = number / POSTERS
        while not await self._stopped(pause):
            pause = 0.0
            if kept:
                await self._request(connection, self.post, self.body, "posts")
            else:
                await self._once(self.post, self.body, "posts")
        await connection.close()

    async def _once(self, head: bytes, body: bytes, kind: str) -> None:
        connection = _Connection(self.given["port"])
        await self._request(connection, head + b"Connection: close\r\n", body, kind)
        await connection.close()

    async def _request(self, connection: _Connection, head: bytes, body: bytes, kind: str) -> None:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, answer = await connection.exchange(head + b"\r\n" + body)
            if not 200 <= status < 300:
                self.counts.errors[f"{kind}: status {status} {answer[:80]}"] += 1
        except (OSError, EOFError, ValueError, IndexError) as error:
            self.counts.errors[f"{kind}: {type(error).__name__} {error}"] += 1
            await connection.close()
            answer = ""
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        if kind != "posts":
            self.counts.bodies[answer[:80]] += 1
            self.counts.slowest = max(self.counts.slowest, time.monotonic() - begin)

    async def _stopped(self, seconds: float) -> bool:
        await asyncio.sleep(max(0.0, seconds))
        return self.stop


class _Connection:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def exchange(self, request: bytes) -> tuple[int, str]:
        """Send a request and return status and body; answers must have a Content-Length or be chunked."""
        if self.reader is None or self.writer is None or self.reader.at_eof():
            await self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        body = await self._body(self.reader, headers)
        if headers.get("connection") == "close":
            await self.close()
        return int(head.split()[1]), body.decode(errors="replace")

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body

    async def close(self) -> None:
        """Close it when it is open."""
        if self.writer is not None:
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()
        self.reader = self.writer = None


async def _main(given: dict[str, Any]) -> None:
    client = _Client(given)
    await client.run()
    print(json.dumps(vars(client.counts)))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
