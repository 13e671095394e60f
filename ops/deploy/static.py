"""Static files of a release: served by Starlette in a small environment of its own."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from ops.deploy import build, releases
from ops.hosts import home
from ops.hosts.supervisor import Program
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.steps import Done, step

KEPT = 3
"""Releases whose files stay reachable: a page that was loaded before the switch asks for its own."""


def environment_folder(context: Context) -> Path:
    """Return the environment of the static file server, by the hash of its lock."""
    return home.of(context.settings).venvs / f"static-{build.digest(_lock())}"


def program(
    context: Context, name: str, release: releases.Release, service: str, address: str
) -> Program:
    """Describe the process that serves a static service of a release."""
    folders = [build.build_folder(context, release, service)]
    for each in releases.all_of(context.settings):
        if each.id != release.id and each.good and service in each.services and len(folders) < KEPT:
            folders.append(build.build_folder(context, each, service))
    socket = address.removeprefix("unix@")
    python = environment_folder(context) / "bin" / "python"
    argv = [
        str(python),
        "-I",
        str(_server(context)),
        "--uds",
        socket,
        *map(str, dict.fromkeys(folders)),
    ]
    return Program(
        name=name, argv=argv, cwd=home.of(context.settings).path, environment={}, stop_seconds=10
    )


def _installed(context: Context) -> Done | None:
    complete = (environment_folder(context) / build.COMPLETE).is_file() and _server(
        context
    ).is_file()
    return Done("already here") if complete and _server(context).read_bytes() == _source() else None


@step(
    title="Install the static file server", limit=minutes(5), check=_installed, interruptible=True
)
def install(context: Context) -> None:
    """Make the server's environment from its lock, and put its file where the service user can read it."""
    environment = environment_folder(context)
    if not (environment / build.COMPLETE).is_file():
        with files.scratch() as folder:
            files.write(folder / "static.txt", _lock())
            build.make_environment(context, environment, folder / "static.txt")
    files.write(_server(context), _source(), mode=0o644)


def _server(context: Context) -> Path:
    return home.of(context.settings).venvs / "static_server.py"


def _source() -> bytes:
    return (importlib.resources.files("ops.hosts") / "static_server.py").read_bytes()


def _lock() -> bytes:
    return (importlib.resources.files("ops.hosts.locks") / "static.txt").read_bytes()
