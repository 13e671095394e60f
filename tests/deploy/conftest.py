"""A context of a described application in a git repository, without anything that runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.deploy import releases
from ops.deploy.releases import Release
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets

OPS_TOML = """
[app]
name = "shop"
[services.web]
command = "serve {port}"
port = 8000
[services.other]
command = "work --on {socket}"
route = ["/other"]
[environments.development]
target = "local"
[environments.second]
target = "local"
"""
Contexts = Callable[..., Context]


@pytest.fixture
def context_of(tmp_path: Path) -> Contexts:
    """Give the context of an ops.toml; the folder is the repository's top unless it is told."""

    def make(text: str = OPS_TOML, folder: Path = tmp_path, environment: str = "") -> Context:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ops.toml").write_text(text)
        loaded = settings.load(
            environment, start=folder, environ={"OPS_HOME": str(tmp_path / "home")}
        )
        return Context(loaded, Secrets(folder, environ={}, redactor=Redactor()), Deadline(60))

    return make


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """Run git in a new repository."""

    def run(*words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        ran = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    run("init", "--quiet", "--initial-branch", "main")
    return run


def release(name: str, sequence: int, *, good: bool = True, **changes: object) -> Release:
    """Return a release's record."""
    made = Release(
        id=name,
        commit=name * 3,
        ref="main",
        tree="t",
        dirty=False,
        sequence=sequence,
        created=0.0,
        actor="anna@laptop",
        services={"web": {"command": "serve {port}", "port": 8000}},
        version_variable="APP_VERSION",
        requirements="",
        builds={},
        good=good,
    )
    return Release(**{**vars(made), **changes})


def store(context: Context, *made: Release) -> None:
    """Write releases' records as a deploy does."""
    for each in made:
        releases.folder(context.settings, each.id).mkdir(parents=True, exist_ok=True)
        releases.save(context.settings, each)
