"""Applications that tests deploy: a git repository of their own, the product as real processes, and a clean end.

    with place() as home, project("tiny", home) as tiny:
        assert tiny.deploy().code == 0

Several projects may share a home, and with it the daemon, PostgreSQL, environments and builds: each has an
environment with a name and a port of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from ops.hosts import haproxy
from ops.hosts import home as homes
from ops.hosts import http, orphans
from ops.hosts.home import Home
from ops.hosts.rpc import Client
from ops.kernel import settings
from ops.kernel.errors import ConnectionFailed
from tests.support import forks
from tests.support.local import lives
from tests.support.places import ROOT, carriers, clean_variables, end, free_port, kill_all, place

__all__ = [
    "APPS",
    "ROOT",
    "Project",
    "Ran",
    "carriers",
    "clean_variables",
    "end",
    "finish",
    "free_port",
    "kill_all",
    "place",
    "project",
]

APPS = ROOT / "tests" / "integration" / "apps"
LIMIT = 240.0
"""Seconds that one command of a test may take."""
_LEFT_OUT = shutil.ignore_patterns(
    "node_modules", "dist", "build", "__pycache__", "*.egg-info", ".env.local", ".ops"
)
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Args:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs."""
        return self.out + self.err

    @property
    def json(self) -> Any:
        """Standard output of `--format json`."""
        return json.loads(self.out)


@dataclass
class Project:
    """An application in a git repository of its own.

    Args:
        folder: The repository; ops.toml lies in it.
        base: OPS_HOME.
        environment: Name of the environment that the tests deploy to.
        port: Where its proxy listens.
        variables: Of every command, beside those of this process.
        program: What is run.
    """

    folder: Path
    base: Path
    environment: str
    port: int
    variables: dict[str, str] = field(default_factory=dict)
    program: list[str] = field(default_factory=lambda: [sys.executable, "-m", "ops.program"])

    @property
    def home(self) -> Home:
        """Its folders on this machine."""
        return homes.of(settings.load(start=self.folder, environ={"OPS_HOME": str(self.base)}))

    @property
    def own(self) -> Path:
        """Folder of its environment below the home: releases, slots, proxy, lock, backups."""
        return self.base / "environments" / self.environment

    def backup_before(self, release: str) -> str:
        """Return the id of the proved backup that the deploy of a release made."""
        manifests = [json.loads(path.read_text()) for path in (self.own / "backups").glob("*.json")]
        (made,) = [each for each in manifests if each["release"] == release]
        assert [(each["level"], each["verdict"]) for each in made["proofs"]] == [("data", "PASSED")]
        return str(made["id"])

    def run(self, *words: str, **variables: str) -> Ran:
        """Run a task to its end."""
        return finish(self.start(*words, **variables))

    def start(self, *words: str, **variables: str) -> forks.Process:
        """Start a task on this environment and do not wait for it."""
        own = {"OPS_HOME": str(self.base), **self.variables, **variables}
        argv = [*self.program, *words, "--env", self.environment]
        return forks.start(argv, self.folder, {**clean_variables(), **own})

    def deploy(self, *words: str, **variables: str) -> Ran:
        """Deploy; the caller looks at how it ended."""
        return self.run("deploy", *words, **variables)

    def deployed(self, *words: str, **variables: str) -> str:
        """Deploy, which must succeed; return the release that serves then."""
        ran = self.deploy(*words, **variables)
        assert ran.code == 0, ran.text
        return self.routed()

    def json(self, *words: str) -> Any:
        """Return the answer of a task in JSON."""
        return self.run(*words, "--format", "json").json

    def serving(self) -> str:
        """Return the release that serves as `releases` says it, empty for none."""
        rows = self.json("releases")["releases"]
        return next((str(each["id"]) for each in rows if each["state"] == "serves"), "")

    def routed(self) -> str:
        """Return the release that the proxy would come back with: its file and the slot's; no process is asked."""
        slot = haproxy.active_in((self.own / "proxy" / "haproxy.cfg").read_text())
        return str(json.loads((self.own / "slots" / f"{slot}.json").read_text())["release"])

    def last_run(self) -> str:
        """Return the state of the newest run in the journal, empty for none."""
        with contextlib.closing(sqlite3.connect(self.folder / ".ops" / "state.db")) as journal:
            table = "script_execution_log"
            row = journal.execute(f"SELECT state FROM {table} ORDER BY started DESC").fetchone()
        return str(row[0]) if row else ""

    def git(self, *words: str) -> str:
        """Run git in the repository."""
        person = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
        ran = subprocess.run(
            ["git", *person, *words], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return ran.stdout.strip()

    def put(self, name: str, text: str) -> None:
        """Write one file below the repository."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the repository; it must be there."""
        text = (self.folder / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        self.put(name, text.replace(old, new))

    def commit(self, message: str = "a change") -> str:
        """Commit everything, also nothing; return the release id of the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")[:12]

    def get(self, path: str) -> http.Answer:
        """Ask the application through its proxy."""
        return http.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def query(self, statement: str) -> list[Any]:
        """Ask the embedded database as its owner; empty when it gives no rows."""
        passwords = json.loads((self.base / "postgres" / "credentials.json").read_text())
        name = next(each for each in passwords if each.endswith(f"_{self.environment}"))
        with psycopg.connect(
            host=str(self.home.sockets), dbname=name, user=name, password=passwords[name]
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def processes(self) -> dict[str, list[int]]:
        """Return the living processes of this environment by program, found by what they carry, not by whom."""
        found: dict[str, list[int]] = {}
        for process in orphans.find(self.home):
            with contextlib.suppress(psutil.Error):
                if lives(process):
                    program = process.environ().get(orphans.VARIABLE, "").rpartition(":")[2]
                    found.setdefault(program, []).append(process.pid)
        return {
            name: pids for name, pids in found.items() if name.startswith(f"{self.environment}-")
        }

    def half_made(self) -> list[Path]:
        """Return what an interrupted or failed deploy left behind: releases without record, partial files."""
        releases = [
            path
            for path in (self.own / "releases").glob("*")
            if not (path / "release.json").is_file()
        ]
        partial = [*self.own.rglob("*.partial"), *(self.base / "builds").glob("*.partial")]
        return [*releases, *partial]


def finish(process: forks.Process, limit: float = LIMIT) -> Ran:
    """Wait for a command; kill it when it takes longer than `limit` seconds, and fail."""
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end within {limit:g} s: {out}{err}") from None
    return Ran(process.wait(), out, err)


@contextmanager
def project(
    app: str, base: Path, *, below: Path | None = None, environment: str = ""
) -> Iterator[Project]:
    """Give an application in a new repository with one commit; its environment is gone at the end.

    Args:
        app: Name in tests/integration/apps, or `shop` for the sample.
        base: OPS_HOME, see `place`.
        below: Folder for the repository; a temporary one when missing.
        environment: Its name; a new one when missing.
    """
    name = environment or f"e{next(_NUMBERS)}"
    with contextlib.ExitStack() as stack:
        if below is None:
            below = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="invops-app-")))
        made = Project(below / app, base, name, free_port())
        copy(app, made.folder)
        text = (made.folder / "ops.toml").read_text()
        head, _, tail = text.partition("[environments.local]")
        tail = "\n".join(
            f"port = {made.port}" if line.startswith("port =") else line
            for line in tail.splitlines()
        )
        head = head.replace('default_environment = "local"', f'default_environment = "{name}"')
        made.put("ops.toml", f"{head}[environments.{name}]{tail}\n")
        made.git("init", "--quiet", "--initial-branch", "main")
        made.commit("first")
        try:
            yield made
        finally:
            remove_environment(made)


def copy(app: str, folder: Path) -> None:
    """Copy an application as its repository has it, without what was installed or built."""
    if app != "shop":
        shutil.copytree(APPS / app, folder, ignore=_LEFT_OUT)
        return
    shutil.copytree(ROOT / "examples" / "shop", folder / "examples" / "shop", ignore=_LEFT_OUT)
    for name in ("ops.toml", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)


def remove_environment(made: Project) -> None:
    """Stop the processes of one environment in a shared home and remove its folder."""
    sockets = made.base / "sockets"
    client = Client(sockets / "supervisor.sock")
    groups = [f"{made.environment}-{each}" for each in ("proxy", "blue", "green")]
    with contextlib.suppress(ConnectionFailed):
        known = {each["group"] for each in client.ask("getAllProcessInfo")}
        for group in [each for each in groups if each in known]:
            client.change("stop a test's processes", "stopProcessGroup", group, True)
            client.change("forget them", "removeProcessGroup", group)
            (made.base / "supervisor" / "conf.d" / f"{group}.conf").unlink(missing_ok=True)
    shutil.rmtree(made.own, ignore_errors=True)
