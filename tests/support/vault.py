"""Backups for tests: manifests as data, and a small project whose database is on a server of the tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.backup import catalog, storage
from ops.backup.manifest import Inventory, Level, Manifest, Proof, Table, Verdict, write
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.journal import Journal, Run
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets
from ops.kernel.store import open_state
from tests.support import forks
from tests.support.places import clean_variables
from tests.support.sample import Ended, ended

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def manifest(number: int = 0, *, days: float = 0, **changes: Any) -> Manifest:
    """Return a manifest; a higher number is another one, `days` make it older than NOON."""
    at = NOON - timedelta(days=days)
    made = Manifest(
        id=f"{at:%Y%m%dT%H%M%SZ}-{number:06x}",
        app="shop",
        environment="prod",
        engine="postgres",
        database="shop_prod",
        created=at.isoformat(),
        seconds=1.5,
        archive=f"{at:%Y%m%dT%H%M%SZ}-{number:06x}.dump.zst",
        size=3,
        sha256="a" * 64,
        plain_size=1000,
        plain_sha256="b" * 64,
        recipients=(),
        tool="pg_dump 15.18",
        inventory=Inventory("1/2", "15.18", (Table("public", "t", 100),)),
    )
    return replace(made, **changes)


def proof(level: Level = "data", verdict: Verdict = "PASSED", reason: str = "") -> Proof:
    """Return a verification."""
    return Proof(level, verdict, reason, NOON.isoformat(), 1.0, "0.1")


@dataclass
class Vault:
    """A project with a database and a folder of backups; its tasks run as processes of their own.

    Args:
        folder: An empty folder.
        url: Of the database, empty for the embedded server.
        extra: Lines of [backup] beside the destination.
        environment: Lines of [environments.prod] beside the URL.
        home: OPS_HOME; a folder of its own when missing.
    """

    folder: Path
    url: str
    extra: str = ""
    environment: str = ""
    home: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write ops.toml."""
        self.chosen.mkdir(parents=True, exist_ok=True)
        self.configure(self.extra, self.environment)

    @property
    def chosen(self) -> Path:
        """The folder that ops.toml names."""
        return self.folder / "backups"

    @property
    def own(self) -> Path:
        """Where the archives lie."""
        return self.chosen / "shop" / "prod"

    def configure(self, extra: str = "", environment: str = "") -> None:
        """Write ops.toml anew."""
        destination = "" if "destination" in extra else 'destination = "backups"'
        address = 'database_url = "env:SHOP_DATABASE"' if self.url else ""
        (self.folder / "ops.toml").write_text(f"""
[app]
name = "shop"
default_environment = "prod"
[database]
engine = "postgres"
[backup]
{destination}
{extra}
[environments.prod]
target = "local"
{address}
{environment}
""")

    def start(self, *words: str, fault: str = "", **variables: str) -> forks.Process:
        """Start a task, with harm if any; see `tests.faults.run`."""
        program = "tests.faults.run" if fault else "ops.program"
        own = {
            "OPS_HOME": str(self.home or self.folder / "home"),
            "SHOP_DATABASE": self.url,
            "FAULT": fault,
            **self.variables,
            **variables,
        }
        argv = [sys.executable, "-m", program, *words]
        return forks.start(argv, self.folder, {**clean_variables(), **own})

    def run(self, *words: str, fault: str = "", **variables: str) -> Ended:
        """Run a task to its end."""
        return ended(self.start(*words, fault=fault, **variables))

    def taken(self, *words: str) -> Manifest:
        """Take a backup, which must succeed."""
        ran = self.run("backup", *words)
        assert ran.code == 0, ran.out + ran.err
        return self.backups()[0]

    def context(self, **changes: Any) -> Context:
        """Return a context of the project."""
        environ = {"OPS_HOME": str(self.home or self.folder / "home")}
        found = settings.load("prod", start=self.folder, environ=environ)
        secrets = Secrets(self.folder, environ={"SHOP_DATABASE": self.url}, redactor=Redactor())
        return replace(Context(found, secrets, Deadline(60), actor="tester@here"), **changes)

    def backups(self) -> list[Manifest]:
        """Return the complete backups, newest first."""
        return catalog.backups(self.context())

    def keep(self, kept: Manifest, content: bytes = b"abc") -> Manifest:
        """Put a backup into the store as if it had been made."""
        store = storage.of(self.context())
        with store.writer(kept.archive) as sink:
            sink.write(content)
        store.put(kept.file, write(kept))
        return kept

    def names(self) -> list[str]:
        """Return the names of all files in the store, partial ones too."""
        return sorted(path.name for path in self.own.glob("*")) if self.own.is_dir() else []

    def last_run(self) -> tuple[Run, Mapping[str, str]] | None:
        """Return the newest run and the state of each of its steps, None when none was recorded."""
        state = open_state(self.context().settings, create=False)
        if state is None:
            return None
        with state:
            journal = Journal(state)
            (run,) = journal.recent(1)
            return run, {each.step_id: each.state for each in journal.steps(run.id)}
