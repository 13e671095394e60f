"""An application with a database, in containers on a host of its own, that is deployed and harmed again and again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from ops.hosts import http
from ops.kernel.errors import ConnectionFailed
from tests.faults.lanes import Lane
from tests.faults.prober import Answers, probing
from tests.support import forks
from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.docker.hosts import Host
from tests.support.local import eventually
from tests.support.project import Project, Ran, finish

PATIENCE = 300.0
"""Seconds that a harmed run may take."""
DESCRIBED = """\
[database]
engine = "postgres"
name = "app"

[migrations]
kind = "sql"
path = "db"

[environments."""
# A host has no command for it.
MOUNT = """
import ctypes, os, sys
place, options = map(os.fsencode, sys.argv[1:])
assert ctypes.CDLL(None).mount(b"tmpfs", place, b"tmpfs", 0, options) == 0
"""
URL = "postgresql://postgres:secret@db:5432/app"


@dataclass
class Hosted(Lane, Small):
    """The small application with migrations, on a host.

    Args:
        host: The host.
        ended: How the last run of `stopped` ended.
    """

    host: Host = field(kw_only=True)
    ended: Ran = field(default_factory=lambda: Ran(0, "", ""))

    def run(self, *words: str, **variables: str) -> Ran:
        """Run a task to its end."""
        return finish(self.begin(*words, "--quiet", **variables), PATIENCE)

    def get(self, path: str) -> http.Answer:
        """Ask the application through its proxy."""
        return http.get(f"http://{self.host.address}:{self.port}{path}", timeout=10)

    def probing(self) -> AbstractContextManager[Answers]:
        """Ask all the time, for a block."""
        return probing(self.port, self.host.address)

    def serves(self) -> str:
        """Return the release that answers, empty when nothing does."""
        try:
            return self.version()
        except (OSError, ValueError, TypeError, ConnectionFailed):  # no answer, or the proxy's own
            return ""

    def plan(self) -> list[dict[str, Any]]:
        """Return the steps of the deploy that would be next."""
        dry = self.run("deploy", "--dry-run", "--format", "json")
        assert dry.code == 10, dry.text
        found: list[dict[str, Any]] = dry.json["plan"]["steps"]
        return found

    def stopped(self, faults: Sequence[str]) -> Iterator[forks.Process]:
        """Deploy, and yield the run at each of its SIGSTOPs; it goes on when the caller does."""
        running = self.begin("deploy", "--quiet", fault=",".join(faults))
        process = psutil.Process(running.pid)
        try:
            while stops(process):
                yield running
                process.send_signal(signal.SIGCONT)
        except BaseException:
            running.kill()
            raise
        finally:
            self.ended = finish(running, PATIENCE)

    def items(self) -> list[str]:
        """Return the rows that the migrations wrote, in order."""
        there = URL.replace("@db:", "@127.0.0.1:")
        ask = ("psql", there, "-Atc", "select item from orders order by id")
        return self.host.inside("docker", "exec", f"{self.project}-db-1", *ask).splitlines()

    def assert_settled(self, release: str) -> None:
        """Assert that a release serves alone, in one slot, and that nothing of any run is left."""
        answer = self.get("/health")
        assert (answer.status, answer.json["version"]) == (200, release), answer
        again = self.deploy()
        assert (again.code, "nothing to change" in again.text) == (0, True), again.text
        items = self.items()
        assert len(items) == len(set(items)) == len(self.migrations()), items
        assert "running" not in [each.state for each in self.runs()]
        assert json.loads(self.host.inside("cat", f"{self.where}/lease.json"))["run"] == ""
        label = f"label=invops.registry={self.project}"
        assert docker("ps", "--all", "--quiet", f"--filter={label}") == ""
        states = self.host.inside("docker", "ps", "--format={{.Names}} {{.State}}").splitlines()
        assert f"{self.project}-db-1 running" in states, states

    @property
    def where(self) -> str:
        """Its folder on the host."""
        return f"/var/lib/invops-tests/{self.environment}"


def stops(process: psutil.Process) -> bool:
    """Wait until a run is stopped; say no when it has ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            status = process.status()
        except psutil.NoSuchProcess:
            return False
        if status == psutil.STATUS_STOPPED:
            return True
        if status == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.02)
    raise AssertionError(f"the run neither stops nor ends within {PATIENCE:g} s")


@contextmanager
def hosted(base: Path, host: Host, *, disk: int = 0) -> Iterator[Hosted]:
    """Give the application with a release that serves.

    Args:
        base: OPS_HOME.
        host: Where it runs.
        disk: Bytes of the file system of its folder on the host; 0 for that of the host.
    """
    with small(base, hosts=[host]) as made:
        values = {each.name: getattr(made, each.name) for each in fields(Project)}
        lane = Hosted(**values, host=host)
        lane.variables["DB_URL"] = URL
        text = (lane.folder / "ops.toml").read_text(encoding="utf-8")
        text = text.replace("[environments.", DESCRIBED, 1)
        lane.put("ops.toml", f'{text}database_url = "env:DB_URL"\n')
        lane.put(
            "db/1_orders.sql",
            "CREATE TABLE orders (id bigserial PRIMARY KEY, item text);\n"
            "INSERT INTO orders (item) VALUES ('migration 1');\n",
        )
        lane.commit("with a database")
        if disk:
            host.inside("mkdir", "-p", lane.where)
            host.inside("python3", "-c", MOUNT, lane.where, f"size={disk},mode=700")
        ran = lane.deploy()
        assert ran.code == 0, ran.text
        try:
            yield lane
        finally:
            print(host.inside("docker", "ps", "--all", check=False))


def answers_again(lane: Hosted) -> bool:
    """Wait until something serves, after the host's engine or the proxy was started again."""
    return eventually(lambda: bool(lane.serves()), 60)
