"""A project in a temporary folder for tests that run real programs; as root outside of root's home."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ops.hosts import account, home
from ops.hosts.home import Home
from ops.hosts.supervisor import Daemon
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.events import Event
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets

OPS_TOML = '[app]\nname = "shop"\n\n[environments.development]\ntarget = "local"\n'


@dataclass
class Project:
    """A project without an application.

    Args:
        folder: Folder of its ops.toml, which everybody may enter.
        context: Context of an operation with a minute's time.
        output: What commands printed.
        events: What was announced.
        children: Process groups that were recorded, with their start.
    """

    folder: Path
    context: Context
    output: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    children: list[tuple[int, float]] = field(default_factory=list)

    @property
    def home(self) -> Home:
        """Its folders."""
        return home.of(self.context.settings)

    def daemon(self) -> Daemon:
        """Return its daemon, running or not."""
        return Daemon(self.context, self.home, account.lookup())


@contextmanager
def project(seconds: float = 60) -> Iterator[Project]:
    """Give a project; afterwards its daemon has ended and its folder is gone."""
    folder = Path(tempfile.mkdtemp(prefix="invops-test-"))
    folder.chmod(0o755)
    (folder / "ops.toml").write_text(OPS_TOML)
    try:
        yield at(folder, seconds)
    finally:
        at(folder).daemon().shutdown()
        shutil.rmtree(folder)


def at(folder: Path, seconds: float = 60) -> Project:
    """Return the project of a folder as another process would see it."""
    loaded = settings.load(start=folder, environ={"OPS_HOME": str(folder / "home")})
    secrets = Secrets(folder, environ={}, redactor=Redactor())
    made = Project(folder, Context(loaded, secrets, Deadline(seconds)))
    made.context = Context(
        loaded,
        secrets,
        Deadline(seconds),
        output=made.output.append,
        announce=made.events.append,
        child=lambda group, started: made.children.append((group, started)),
    )
    return made


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait until a condition holds; say whether it did."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def lives(process: psutil.Process) -> bool:
    """Say whether a process still runs; one that nobody waited for does not."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def is_root() -> bool:
    """Say whether this is root, so that services run as another user."""
    return os.geteuid() == 0
