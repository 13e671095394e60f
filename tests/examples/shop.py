"""Run the sample's backend, worker and migrations as processes, as a deploy does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

BACKEND = Path(__file__).parents[2] / "examples/shop/backend"
PATIENCE_SECONDS = 20.0


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for something to become true, at most 20 seconds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


@dataclass
class Process:
    """A process of the sample.

    Args:
        process: The running process.
        log: File of its output.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def events(self) -> list[dict[str, Any]]:
        """Return what it logged; each line must be a JSON object."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Return the events with this message."""
        return [event for event in self.events() if event["message"] == message]

    def wait_for(self, message: str) -> None:
        """Wait until it has logged this message."""
        ended = self.process.poll
        wait_until(lambda: ended() is not None or self.logged(message), f"{message}, in {self.log}")
        assert ended() is None, self.log.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@dataclass
class Web(Process):
    """The backend.

    Args:
        client: Talks to its socket.
    """

    client: httpx.Client

    def status(self, path: str) -> int:
        """Return the status of a GET."""
        return self.client.get(path).status_code

    def count(self) -> int:
        """Return how many orders it counts."""
        counted: int = self.client.get("/api/orders/count").json()["count"]
        return counted


@dataclass(frozen=True)
class Shop:
    """The installed sample.

    Args:
        programs: `bin` folder of its virtual environment.
        folder: Short folder for sockets and logs.
        backend: Its source folder.
    """

    programs: Path
    folder: Path
    backend: Path = BACKEND

    def environment(self, url: str, version: str) -> dict[str, str]:
        """Return all that a process of the sample gets."""
        return {
            "PATH": f"{self.programs}:{os.defpath}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": url,
            "APP_VERSION": version,
        }

    def alembic(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `alembic` with these arguments."""
        return subprocess.run(
            [self.programs / "alembic", *arguments],
            cwd=self.backend,
            env=self.environment(url, "migrations"),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def web(self, url: str, version: str = "r1") -> Iterator[Web]:
        """Start the backend; it listens when the context begins, ready or not."""
        socket = self.folder / "web.sock"
        command = ["uvicorn", "shop.app:app", "--uds", str(socket)]
        with (
            self._process(command, url, version) as (process, log),
            httpx.Client(
                base_url="http://shop", transport=httpx.HTTPTransport(uds=str(socket)), timeout=20
            ) as client,
        ):
            web = Web(process, log, client)
            web.wait_for(f"Uvicorn running on unix socket {socket} (Press CTRL+C to quit)")
            yield web

    @property
    def alive(self) -> Path:
        """The file that workers touch."""
        return self.folder / "alive"

    @contextmanager
    def worker(self, url: str) -> Iterator[Process]:
        """Start a worker."""
        command = ["python", "-m", "shop.worker", "--alive", str(self.alive)]
        with self._process(command, url, "r1") as (process, log):
            worker = Process(process, log)
            worker.wait_for("started")
            yield worker

    @contextmanager
    def _process(
        self, command: list[str], url: str, version: str
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        log = self.folder / f"{command[0]}-{time.monotonic_ns()}.log"
        with (
            open(log, "wb") as output,
            subprocess.Popen(
                [self.programs / command[0], *command[1:]],
                cwd=self.backend,
                env=self.environment(url, version),
                stdout=output,
                stderr=output,
            ) as process,
        ):
            try:
                yield process, log
            finally:
                process.kill()
