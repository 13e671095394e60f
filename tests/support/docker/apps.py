"""A small Compose application for tests of deploys; the sample of docker/ is for those that need the real thing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support.docker.engine import docker
from tests.support.docker.images import images

FOLDER = Path(__file__).parent / "app"


@dataclass(frozen=True)
class App:
    """The application: `web` and `worker` change with each release, `cache` and `db` do not.

    Args:
        folder: With its compose.yaml, Dockerfile and sources.
        project: Name of its Compose project.
        parts: The images it stands on.
    """

    folder: Path
    project: str
    parts: dict[str, str]

    def release(self, version: str, mode: str = "good", **more: object) -> str:
        """Write `.env`, which says what the next release is, and build it.

        Args:
            version: What `/` and `/health` answer.
            mode: "good", "crash" at the start, "sick" (never healthy) or "sour" (healthy, fails later).
            more: Further variables, e.g. the published PORT.

        Returns:
            The tag of its image.
        """
        variables = {**self.parts, "VERSION": version, "MODE": mode, **more}
        text = "".join(f"{name}={value}\n" for name, value in variables.items())
        (self.folder / ".env").write_text(text, encoding="utf-8")
        self.compose("build", "--quiet", "web")
        return f"invops-tests/app:{version}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose` for it and return what that printed."""
        where = (f"--project-directory={self.folder}", f"--project-name={self.project}")
        return docker("compose", *where, *arguments, check=check)

    def address(self, service: str = "web", port: int = 8000) -> str:
        """Return where a published port is reached, e.g. "127.0.0.1:49153"."""
        return self.compose("port", service, str(port)).strip()


@contextmanager
def app(folder: Path) -> Iterator[App]:
    """Provide the application in an empty folder, not built yet; all of its project is removed at the end."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    named = images("python", "redis", "postgres")
    parts = {f"{name.upper()}_IMAGE": tag for name, tag in named.items()}
    made = App(folder, f"app-{uuid4().hex[:8]}", parts)
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout=1")
