"""The sample application of docker/, built and run as its own Compose file says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from tests.support.docker.images import images

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789ab"


@dataclass(frozen=True)
class Shop:
    """The sample as one Compose project.

    Args:
        project: Name of the project.
        variables: What its Compose file takes from the environment.
    """

    project: str
    variables: dict[str, str]

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose` for it and return what that printed."""
        command = ["docker", "compose", "--file", str(ROOT / "docker/compose.yaml")]
        ran = subprocess.run(
            [*command, "--project-name", self.project, *arguments],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or ran.returncode == 0, f"{arguments}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def client(self) -> httpx.Client:
        """Return a client of its published port."""
        address = self.compose("port", "frontend", "8080").strip()
        return httpx.Client(base_url=f"http://{address}", timeout=30)


def variables(commit: str = COMMIT) -> dict[str, str]:
    """Return the variables of the Compose file, with our own images in place of the official ones."""
    named = images("python", "node", "nginx", "postgres", "redis")
    parts = {f"{name.upper()}_IMAGE": tag for name, tag in named.items()}
    return {**parts, "COMMIT": commit, "POSTGRES_PASSWORD": "secret", "PORT": "0"}


@contextmanager
def shop() -> Iterator[Shop]:
    """Build the sample and start it with its tables; all of its project is removed at the end."""
    made = Shop(f"shop-{uuid4().hex[:8]}", variables())
    made.compose("build", "--quiet")
    try:
        made.compose("run", "--rm", "backend", "alembic", "upgrade", "head")
        made.compose("up", "--detach", "--wait")
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout=1")
