"""A small project and small real steps: files in a folder, so that every effect can be seen."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import StepFailed
from ops.kernel.invocation import Invocation, Options
from ops.kernel.lock import FileLock
from ops.kernel.plan import Plan, Ref
from ops.kernel.report import Report
from ops.kernel.secrets import Secrets
from ops.kernel.settings import load
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step
from ops.kernel.task import WRITE, task

OPS_TOML = """
[app]
name = "sample"
[services.web]
command = "true"
[environments.development]
target = "local"
[environments.guarded]
target = "local"
protected = true
state = "local"
[environments.looking]
target = "local"
level = "read"
"""


@dataclass(frozen=True)
class Written:
    """What a step wrote."""

    path: str
    size: int


def _there(context: Context, name: str, text: str) -> Done | None:
    path = context.settings.folder / name
    return (
        Done("is there", Written(str(path), len(text)))
        if path.is_file() and path.read_text() == text
        else None
    )


def _remove(context: Context, result: object, name: str, text: str) -> None:
    files.remove(context.settings.folder / name)


@step(title="Write {name}", limit=10, check=_there, undo=_remove)
def write(context: Context, name: str, text: str) -> Written:
    """Write a file."""
    path = context.settings.folder / name
    files.write(path, text)
    return Written(str(path), len(text))


@step(title="Fail because of {reason}", limit=10)
def fail(context: Context, reason: str) -> None:
    """Fail, as asked."""
    raise StepFailed(f"failed because of {reason}")


@step(title="Crash", limit=10)
def crash(context: Context) -> None:
    """Raise something that is not of the tree."""
    raise ZeroDivisionError("division by zero")


@step(title="Use up {seconds} s", limit=0.05)
def slow(context: Context, seconds: float) -> None:
    """Take longer than allowed."""
    time.sleep(seconds)


@dataclass(frozen=True)
class Changed:
    """What an irreversible step did."""

    compatible: bool


@step(title="Change for good", limit=10, irreversible=True)
def change(context: Context, compatible: bool) -> Changed:
    """Change something that cannot be taken back."""
    files.write(context.settings.folder / "changed", "yes")
    return Changed(compatible)


def _fail_undo(context: Context, result: object) -> None:
    raise StepFailed("undo is broken")


@step(title="Write what cannot be removed", limit=10, undo=_fail_undo)
def stuck(context: Context) -> None:
    """Write a file whose undo fails."""
    files.write(context.settings.folder / "stuck", "yes")


def sample_plan(context: Context, text: str = "a") -> Plan:
    """Plan two files; the second holds the path of the first."""
    folder = context.settings.folder
    if all((folder / name).is_file() for name in ("one", "two")):
        return Plan("sample", context.settings.name, "files", (), nothing="both files are there")
    steps = (
        write.step("1", name="one", text=text),
        write.step("2", name="two", text=Ref("write:1", "path")),
    )
    return Plan(
        "sample",
        context.settings.name,
        "files",
        steps,
        {"there": sorted(p.name for p in folder.iterdir() if p.is_file())},
    )


def lock_of(context: Context) -> FileLock:
    """Return the lock of the sample's environment."""
    return FileLock(context.settings.folder / "locks" / context.settings.name / "lock")


@task(level=WRITE, kind="deploy")
def sample(call: Invocation) -> Report:
    """Write two files."""
    return call.operate(sample_plan, lock=lock_of)


def project(folder: Path) -> Path:
    """Make a project folder."""
    (folder / "ops.toml").write_text(OPS_TOML)
    return folder


def settings(folder: Path, environment: str = "") -> Settings:
    """Return the settings of a project."""
    return load(environment, start=folder, environ={})


def context(folder: Path, seconds: float = 60) -> Context:
    """Return a context of a project."""
    found = settings(folder)
    return Context(found, Secrets(folder), Deadline(seconds), actor="tester@here")


def call(folder: Path, environment: str = "", **options: Any) -> Invocation:
    """Return a call of the sample task in a project."""
    made = Invocation("sample", sample, Options(env=environment, **options), io.StringIO())
    made.settings = settings(folder, environment)
    return made
