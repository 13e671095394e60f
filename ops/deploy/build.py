"""Make a release runnable: its Python environment and its built services, both reused by hash."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path

from ops.deploy import releases
from ops.hosts import account, home, interpreter, runner, tools
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.steps import Done, step

COMPLETE = ".complete"
"""Written last into an environment or a build: without it the folder is half made and is made again."""


def environment_folder(context: Context, release: releases.Release) -> Path | None:
    """Return the release's Python environment, None when it needs none."""
    if not release.requirements:
        return None
    return home.of(context.settings).venvs / release.requirements


def packages_folder(context: Context, release: str) -> Path:
    """Return where the release's own packages are installed."""
    return releases.folder(context.settings, release) / "packages"


def search_path(context: Context, release: releases.Release) -> str:
    """Return PATH for commands of a release: its environment, Node where it is used, the system's folders."""
    folders = []
    environment = environment_folder(context, release)
    if environment is not None:
        folders.append(str(environment / "bin"))
    node = tools.find(home.of(context.settings), "node")
    if node is not None:
        folders.append(str(node.parent))
    return ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin"])


def command_environment(context: Context, release: releases.Release) -> dict[str, str]:
    """Return the variables for build commands and hooks: no secrets."""
    packages = packages_folder(context, release.id)
    return {
        "PATH": search_path(context, release),
        "ENVIRONMENT": context.settings.name,
        release.version_variable: release.id,
        **({"PYTHONPATH": str(packages)} if packages.is_dir() else {}),
        **context.settings.environment.environment,
    }


def _installed(context: Context, release: str) -> Done | None:
    known = releases.load(context.settings, release)
    environment = environment_folder(context, known)
    if environment is None:
        return Done("no Python dependencies")
    complete = (environment / COMPLETE).is_file()
    python = context.settings.python
    assert python is not None
    packages = not python.packages or (packages_folder(context, release) / COMPLETE).is_file()
    return Done(f"reused {environment.name}") if complete and packages else None


@step(title="Install Python dependencies", limit=minutes(10), check=_installed, interruptible=True)
def dependencies(context: Context, release: str) -> None:
    """Make the virtual environment of the release's lock file, and install its own packages beside its code."""
    known = releases.load(context.settings, release)
    environment = environment_folder(context, known)
    python = context.settings.python
    assert environment is not None and python is not None
    app = releases.folder(context.settings, release) / "app"
    if not (environment / COMPLETE).is_file():
        make_environment(context, environment, app / python.requirements)
    if python.packages:
        target = packages_folder(context, release)
        files.remove(target)
        paths = [str((app / each).resolve()) for each in python.packages]
        _pip(context, environment, "install", "--no-deps", "--target", str(target), *paths)
        files.write(target / COMPLETE, "", mode=0o644)


def digest(content: bytes) -> str:
    """Return the hash that names an environment or a build."""
    return hashlib.sha256(content).hexdigest()[:16]


def make_environment(context: Context, environment: Path, requirements: Path) -> None:
    """Make a virtual environment from a lock file; an interrupted one is made again."""
    files.remove(environment)
    base = interpreter.find(account.lookup())
    context.note(f"new environment with {base}")
    runner.run(context, [str(base), "-m", "venv", "--without-pip", str(environment)])
    _pip(context, environment, "install", "--requirement", str(requirements))
    files.write(environment / COMPLETE, "", mode=0o644)


def _pip(context: Context, environment: Path, *words: str) -> None:
    """Run our own pinned pip for another environment, so that the system needs neither pip nor ensurepip."""
    argv = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), *words]
    quiet = ["--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    runner.run(
        context,
        [*argv, *(quiet if "install" in words else [])],
        environment=runner.network_environment(),
    )


def build_folder(context: Context, release: releases.Release, service: str) -> Path:
    """Return where the built files of a static service are."""
    key = release.builds.get(service)
    if key is not None:
        return home.of(context.settings).builds / f"{service}-{key}"
    described = release.service(service)
    assert described.static is not None
    return (
        releases.folder(context.settings, release.id)
        / "app"
        / described.directory
        / described.static
    )


def _built(context: Context, release: str, service: str) -> Done | None:
    known = releases.load(context.settings, release)
    described = known.service(service)
    if described.is_static:
        done = (build_folder(context, known, service) / COMPLETE).is_file()
    else:
        done = (releases.folder(context.settings, release) / f".built-{service}").is_file()
    return Done(f"reused {known.builds[service]}") if done else None


@step(title="Build {service}", limit=minutes(15), check=_built, interruptible=True)
def build(context: Context, release: str, service: str) -> None:
    """Run a service's build commands; the files of a static service are kept by the hash of their sources."""
    known = releases.load(context.settings, release)
    described = known.service(service)
    directory = releases.folder(context.settings, release) / "app" / described.directory
    environment = {
        **runner.network_environment(),
        **command_environment(context, known),
        **described.environment,
    }
    for command in described.build:
        context.note(command)
        runner.run(context, shlex.split(command), cwd=directory, environment=environment)
    if described.static is None:
        files.write(
            releases.folder(context.settings, release) / f".built-{service}", "", mode=0o644
        )
        return
    output = directory / described.static
    if not output.is_dir():
        raise ConfigurationError(
            f"the build of {service} made no folder {output}", hint="check `static` in ops.toml"
        )
    final = build_folder(context, known, service)
    partial = final.with_name(f"{final.name}.partial")
    files.remove(partial)
    files.remove(final)
    files.copy_tree(output, partial)
    files.write(partial / COMPLETE, "", mode=0o644)
    files.rename(partial, final)


@step(title="Hook {name}: {command}", limit=minutes(10))
def hook(context: Context, release: str, name: str, command: str) -> None:
    """Run one command of [hooks] in the release's folder."""
    known = releases.load(context.settings, release)
    app = releases.folder(context.settings, release) / "app"
    runner.run(
        context, shlex.split(command), cwd=app, environment=command_environment(context, known)
    )
