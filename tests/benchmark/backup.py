"""Backup and proof of a database against `pg_dump | gzip` and `gunzip | psql`, in turn, in the same run."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyrage

from ops.backup import manifest
from ops.database import scratch
from tests.benchmark.processes import Measured, measure
from tests.support import dataset, runs
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]
RUNS = 3
SCRATCH_RUNS = 5
SIZE = 400
FULL_SIZE = 1600
"""Megabytes of tables and indexes."""
OPS_TOML = """
[app]
name = "measured"
default_environment = "local"
[services.web]
command = "true"
[database]
engine = "postgres"
[backup]
destination = "{folder}/store"
recipients = ["{recipient}"]
identity = "file:{folder}/identity"
[environments.local]
target = "local"
database_url = "env:MEASURED_URL"
"""


@dataclass(frozen=True)
class Backups:
    """Medians of several runs, one after the other with what they are compared with.

    Args:
        megabytes: Size of the database.
        backup: Time of a backup, the whole command, as a share of `pg_dump | gzip`.
        single_pass: Likewise from the start of the dump to the complete archive, as the manifest has it.
        seconds: Of a backup, the whole command.
        memory: Peak resident memory of our process in it, bytes.
        proof: Time of a proof by restoring the data, as a share of `gunzip | psql`.
        proof_seconds: Of a proof, the whole command.
        scratch: Seconds that a scratch server needs to come up and to go.
    """

    megabytes: float
    backup: float
    single_pass: float
    seconds: float
    memory: int
    proof: float
    proof_seconds: float
    scratch: float


def measure_backups(megabytes: int = SIZE) -> Backups:
    """Fill a database on a server of its own and measure; its server forces no write to disk, for both sides."""
    with Postgres.begin() as server, _project() as project:
        name = server.create()
        size = dataset.fill(server.url(name), megabytes)
        work = _Work(server, name, project)
        work.plain_backup()  # both read from memory, not from disk
        backups = [(work.plain_backup(), work.run("backup")) for _ in range(RUNS)]
        proofs = [(work.plain_restore(), work.run("backup.verify")) for _ in range(RUNS)]
        return Backups(
            size / 1e6,
            median(ours.wall / plain for plain, ours in backups),
            median(
                seconds / plain
                for seconds, (plain, _) in zip(_passes(project), backups, strict=True)
            ),
            median(ours.wall for _, ours in backups),
            max(ours.memory for _, ours in backups),
            median(ours.wall / plain for plain, ours in proofs),
            median(ours.wall for _, ours in proofs),
            _scratch(project),
        )


@dataclass(frozen=True)
class _Work:
    server: Postgres
    name: str
    project: Path

    def run(self, task: str) -> Measured:
        """Run a task of ours to its end."""
        argv = [sys.executable, "-m", "ops.program", task, "--env", "local"]
        own = {"PYTHONPATH": str(ROOT), "OPS_HOME": str(self.project / "home")}
        url = self.server.url(self.name)
        return measure(argv, self.project, {**own, "MEASURED_URL": url})

    def plain_backup(self) -> float:
        """Return the seconds of `pg_dump | gzip`."""
        dump = shlex.join([str(self.server.programs / "pg_dump"), self.server.url(self.name)])
        return self._pipe(f"{dump} | gzip > plain.sql.gz")

    def plain_restore(self) -> float:
        """Return the seconds of `gunzip | psql` of that dump into a new database."""
        name = self.server.create("template0")
        psql = [str(self.server.programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1"]
        seconds = self._pipe(
            f"gunzip -c plain.sql.gz | {shlex.join([*psql, self.server.url(name)])} > psql.out"
        )
        with self.server.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name}".encode())
        return seconds

    def _pipe(self, command: str) -> float:
        began = time.monotonic()
        argv = ["bash", "-e", "-o", "pipefail", "-c", command]
        subprocess.run(argv, cwd=self.project, check=True)
        return time.monotonic() - began


@contextmanager
def _project() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="invops-bench-"))
    # The service user, who runs scratch servers for root, enters it.
    folder.chmod(0o755)
    try:
        key = pyrage.x25519.Identity.generate()
        (folder / "store").mkdir()
        (folder / "identity").write_text(f"{key}\n")
        (folder / "identity").chmod(0o600)
        (folder / "ops.toml").write_text(OPS_TOML.format(folder=folder, recipient=key.to_public()))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _passes(project: Path) -> list[float]:
    """Return the seconds of the backups as their manifests have them, oldest first."""
    made = sorted((project / "store").rglob("*.json"))
    return [manifest.read(each.read_bytes(), each.name).seconds for each in made]


def _scratch(project: Path) -> float:
    """Return the median seconds that a scratch server needs to come up and to go."""
    context = runs.context(project)
    times = []
    for _ in range(SCRATCH_RUNS):
        began = time.monotonic()
        with scratch.server(context) as server:
            server.make("measured")
        times.append(time.monotonic() - began)
    return median(times)


if __name__ == "__main__":
    sys.stdout.write(f"{measure_backups(*map(int, sys.argv[1:]))}\n")
