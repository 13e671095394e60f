"""A real HAProxy before two slots of a real uvicorn, all on this machine."""

from __future__ import annotations

import csv
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.hosts import haproxy, polling
from ops.hosts.http import get
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed
from tests.support.places import free_port


@dataclass
class Child:
    """A process that a test started."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, argv: list[str], *, log: Path, environment: dict[str, str] | None = None
    ) -> Self:
        """Start it with its output in `log`."""
        with log.open("ab") as stream:
            return cls(
                subprocess.Popen(
                    argv, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=environment
                )
            )

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait(timeout=20)


class Front:
    """A proxy, its configuration and its two slots of one service `web`.

    Args:
        binary: HAProxy.
        python: Python of an environment with uvicorn.
    """

    def __init__(self, binary: Path, python: Path) -> None:
        self._stack = ExitStack()
        # Short: the path of a socket may have about 100 characters.
        name = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="invops-"))
        self.folder = Path(name)
        self.binary, self.python = binary, python
        self.port = free_port()
        self.config = self.folder / "haproxy.cfg"
        self.log = self.folder / "log"
        self.services: dict[str, Child] = {}
        self.routing = haproxy.Routing(
            name="shop-local",
            bind=f"127.0.0.1:{self.port}",
            admin_socket=self.folder / "admin.sock",
            backends=(self.backend("web", "/"),),
        )
        self.proxy = haproxy.Proxy(self.routing.admin_socket)
        self.master: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        children = [*([self.master] if self.master else []), *self.services.values()]
        for child in children:
            if child.process.poll() is None:
                child.end(signal.SIGKILL if child is not self.master else signal.SIGTERM)
        self._stack.close()

    def backend(self, service: str, *prefixes: str) -> haproxy.Backend:
        """Describe a service; all of them are answered by the same two processes."""
        servers = {slot: f"unix@{self.folder / slot}.sock" for slot in haproxy.SLOTS}
        return haproxy.Backend(service, prefixes, "/live", servers)

    def write(self, active: str | None, *backends: haproxy.Backend) -> None:
        """Write the configuration file with one slot active, with other services when they are given."""
        self.routing = replace(
            self.routing, active=active, backends=backends or self.routing.backends
        )
        self.config.write_text(haproxy.render(self.routing))

    def start(self) -> None:
        """Start the proxy and wait until it answers."""
        argv = haproxy.command(self.binary, self.config, self.routing.admin_socket)
        self.master = Child.start(argv, log=self.log)
        self.proxy.wait_answering(Deadline(10))

    def serve(self, slot: str, release: str, *, live: int = 200) -> None:
        """Start a release in a slot and wait until its liveness answers."""
        path = self.folder / f"{slot}.sock"
        argv = [str(self.python), "-m", "uvicorn", "backend:app", "--uds", str(path)]
        argv += ["--app-dir", str(Path(__file__).parent), "--no-access-log", "--log-level=warning"]
        variables = {"APP_VERSION": release, "LIVE_STATUS": str(live)}
        self.services[slot] = Child.start(argv, log=self.log, environment=variables)

        def answers() -> bool:
            try:
                return bool(
                    get("http://localhost/live", unix_socket=path).json["version"] == release
                )
            except ConnectionFailed:
                return False

        assert polling.wait_for(answers, Deadline(20), every=0.05), self.log.read_text()

    def switch(self, slot: str) -> float:
        """Move traffic as a deploy does; return the seconds until the other slot was idle."""
        other = next(each for each in haproxy.SLOTS if each != slot)
        deadline = Deadline(30)
        self.write(slot)
        self.proxy.ready(slot)
        self.proxy.wait_up(slot, deadline)
        self.proxy.drain(other)
        assert self.proxy.wait_idle(other, deadline)
        self.proxy.maintenance(other)
        return 30 - deadline.remaining()

    def worker(self) -> int:
        """Return the process id of the proxy's current worker."""
        answer = self.proxy._master.ask("show info")
        return int(answer.partition("\nPid: ")[2].split()[0])

    def requests(self, service: str) -> int:
        """Return how many requests a service got since the proxy's worker started."""
        rows = self.proxy._master.ask("show stat").lstrip("# ").splitlines()
        found = csv.DictReader(rows)
        return sum(
            int(row["stot"])
            for row in found
            if (row["pxname"], row["svname"]) == (service, "BACKEND")
        )

    def url(self, path: str = "/") -> str:
        """Return a URL at the proxy."""
        return f"http://127.0.0.1:{self.port}{path}"
