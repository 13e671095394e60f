"""Folders for OPS_HOME that leave nothing behind: no process, no file."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ops.hosts import orphans, ports
from ops.hosts.home import Home
from ops.hosts.rpc import Client
from ops.kernel.errors import ConnectionFailed
from tests.conftest import OWN_PREFIXES, OWN_VARIABLES
from tests.support.local import eventually, lives

ROOT = Path(__file__).resolve().parents[2]
_LOWEST, _PROCESSES = 11_000, 8


@contextmanager
def place() -> Iterator[Path]:
    """Give a folder for OPS_HOME that the service user can enter; at its end no process of it is left."""
    base = Path(tempfile.mkdtemp(prefix="invops-home-"))
    base.chmod(0o755)
    try:
        yield base
        end(base)
    finally:
        kill_all(base)
        shutil.rmtree(base, ignore_errors=True)


def end(base: Path) -> None:
    """Stop the daemon of a home as `shutdown` of its interface does; it must leave no process."""
    sockets = base / "sockets"
    if not sockets.exists():
        return
    with contextlib.suppress(ConnectionFailed):
        Client(sockets / "supervisor.sock").change("stop the daemon of a test", "shutdown")
    left = carriers(base)
    gone = eventually(lambda: not any(map(lives, left)), 40)
    assert gone, f"left behind: {[each.cmdline() for each in left if lives(each)]}"
    assert not carriers(base), f"left behind: {[each.cmdline() for each in carriers(base)]}"


def kill_all(base: Path) -> None:
    """End what is left of a home, process by process; a last resort after a failed test."""
    for process in carriers(base):
        with contextlib.suppress(psutil.Error):
            process.kill()
    eventually(lambda: not carriers(base), 10)


def carriers(base: Path) -> list[psutil.Process]:
    """Return the living processes that carry the marker of a home."""
    found = orphans.find(Home(base, base))
    return [each for each in found if lives(each)]


def clean_variables() -> dict[str, str]:
    """Return this process's variables without those that change what a task does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OWN_VARIABLES and not name.startswith(OWN_PREFIXES)
    }
    return {**kept, "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """Return a port that nobody listens on; each is given once, and never one that a deploy may take for a slot."""
    return next(port for port in _PORTS if ports.is_free(port))


def _own_ports() -> Iterator[int]:
    """Return the ports of this process: below the product's own, shared out among the processes of a test run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(_LOWEST + worker % _PROCESSES, ports.LOWEST, _PROCESSES)
    begin = random.randrange(len(own))  # two test runs beside each other begin at different ones
    return itertools.cycle([*own[begin:], *own[:begin]])


_PORTS = _own_ports()
