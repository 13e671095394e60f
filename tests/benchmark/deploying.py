"""A small application with a database: how long deploys take, and how much memory they need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ops.hosts import ports
from tests.benchmark.processes import Measured, measure

ROOT = Path(__file__).parents[2]
RUNS = 5
OPS_TOML = """
[app]
name = "measured"
[services.web]
command = "python3 -m http.server {{port}} --bind 127.0.0.1"
port = 8000
stop_timeout = "5s"
[database]
engine = "postgres"
[migrations]
kind = "sql"
path = "db"
[environments.local]
target = "local"
port = {port}
"""


@dataclass(frozen=True)
class Deploys:
    """Medians of several deploys.

    Args:
        nothing: Seconds of a deploy with nothing to change.
        new_code: Seconds of a deploy of a new commit.
        memory: Peak resident memory of our process, bytes.
    """

    nothing: float
    new_code: float
    memory: int


def measure_deploys() -> Deploys:
    """Deploy a new commit several times, and nothing in between."""
    with _project() as project:
        project.deploy()
        changed, nothing = [], []
        for number in range(RUNS):
            project.commit(f"change {number}")
            changed.append(project.deploy())
            nothing.append(project.deploy())
            assert "nothing to change" in nothing[-1].output
    memory = max(each.memory for each in [*changed, *nothing])
    return Deploys(
        median(each.wall for each in nothing), median(each.wall for each in changed), memory
    )


@dataclass(frozen=True)
class _Project:
    folder: Path
    home: Path

    def commit(self, text: str) -> None:
        (self.folder / "page.html").write_text(text)
        for words in (
            ("add", "-A"),
            ("-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", text),
        ):
            subprocess.run(["git", *words], cwd=self.folder, check=True)

    def run(self, *words: str) -> Measured:
        environment = {"PYTHONPATH": str(ROOT), "OPS_HOME": str(self.home)}
        return measure([sys.executable, "-m", "ops.program", *words], self.folder, environment)

    def deploy(self) -> Measured:
        return self.run("deploy", "--env", "local")


@contextmanager
def _project() -> Iterator[_Project]:
    folder = Path(tempfile.mkdtemp(prefix="invops-bench-"))
    folder.chmod(0o755)
    project = _Project(folder / "app", folder / "home")
    try:
        (project.folder / "db").mkdir(parents=True)
        (project.folder / "db" / "1_first.sql").write_text("create table t (id int);\n")
        (project.folder / "ops.toml").write_text(OPS_TOML.format(port=ports.free(set())))
        (project.folder / ".gitignore").write_text(".ops/\n")
        subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
        project.commit("first")
        yield project
        project.run("stop", "--env", "local")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
