"""The worker: takes jobs from the list `jobs` in Redis, each "NAME SECONDS", and reports them in `done`."""

from __future__ import annotations

import os
import signal
import socket
import time
from io import BufferedRWPair

VERSION = os.environ.get("VERSION", "none")
stopping = False


def ask(connection: BufferedRWPair, *words: str) -> bytes | None:
    """Send one command of Redis's protocol and return its answer; of a list the last element."""
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    connection.write(f"*{len(words)}\r\n{''.join(parts)}".encode())
    connection.flush()
    return read(connection)


def read(connection: BufferedRWPair) -> bytes | None:
    """Read one answer."""
    line = connection.readline().rstrip()
    kind, rest = line[:1], line[1:]
    if kind == b"$":
        return None if rest == b"-1" else connection.read(int(rest) + 2)[:-2]
    if kind == b"*":
        answers = [read(connection) for _ in range(int(rest))]
        return answers[-1] if answers else None
    if kind in (b"-", b""):
        raise OSError(f"redis: {rest.decode()}")
    return rest


def work() -> None:
    """Take jobs until we are to stop; the job in hand is finished first."""
    server = (os.environ.get("CACHE", "cache"), 6379)
    with (
        socket.create_connection(server, timeout=10) as opened,
        opened.makefile("rwb") as connection,
    ):
        print(f"version {VERSION} works")
        while not stopping:
            job = ask(connection, "BLPOP", "jobs", "1")
            if job:
                name, seconds = job.decode().split()
                time.sleep(float(seconds))
                ask(connection, "RPUSH", "done", f"{name} {VERSION}")


def stop(*_: object) -> None:
    """Take no further job."""
    global stopping
    stopping = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    while not stopping:
        try:
            work()
        except OSError as error:
            print(error)
            time.sleep(0.2)
