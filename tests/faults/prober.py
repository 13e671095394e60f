"""Asks the proxy all the time, as a user would: whether something serves is measured, not concluded."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

EVERY = 0.02
"""Seconds between two requests."""
PATIENCE = 5.0
"""Seconds for an answer."""


@dataclass
class Answers:
    """What came back.

    Args:
        versions: Releases that answered, in the order of their first answer.
        failures: Requests without a good answer: when, in seconds since the begin, and why.
        count: All requests.
    """

    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    count: int = 0

    def assert_all_good(self) -> None:
        """Assert that no request failed."""
        assert (
            self.count and not self.failures
        ), f"{len(self.failures)} of {self.count}: {self.failures[:5]}"


@contextmanager
def probing(port: int, host: str = "127.0.0.1") -> Iterator[Answers]:
    """Ask for /probe on a new connection every 20 ms for a block."""
    answers, stop, began = Answers(), threading.Event(), time.monotonic()

    def ask() -> None:
        while not stop.wait(EVERY):
            answers.count += 1
            try:
                version = _ask(host, port)
            except (OSError, ValueError, http.client.HTTPException) as error:
                answers.failures.append(f"{time.monotonic() - began:.2f} s: {error!r}")
            else:
                if version not in answers.versions:
                    answers.versions.append(version)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def _ask(host: str, port: int) -> str:
    with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/probe")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return str(json.loads(body)["version"])
