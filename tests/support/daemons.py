"""Looks at the daemon of a project and its programs from outside."""

from __future__ import annotations

from pathlib import Path

import psutil

from ops.hosts import orphans
from ops.hosts.programs import Program
from tests.support.local import Project, eventually


def program(name: str, *argv: str, environment: dict[str, str] | None = None) -> Program:
    command = argv or ("sleep", "600")
    return Program(name, command, Path("/"), {"PATH": "/usr/bin:/bin", **(environment or {})})


def pid_of(shop: Project, name: str) -> int:
    return next((each.pid for each in shop.daemon().programs() if each.name == name), 0)


def running(shop: Project, group: str) -> int:
    shop.daemon().wait_running(group)
    return pid_of(shop, group)


def daemons(shop: Project) -> list[psutil.Process]:
    found = orphans.find(shop.home, {"supervisord"})
    # A program carries the daemon's marker until its launcher has read its own.
    return [each for each in found if "supervisor.supervisord" in each.cmdline()]


def kill_daemon(shop: Project) -> None:
    (process,) = daemons(shop)
    process.kill()
    # The daemon's own processes are not children of this test, so they are not waited for.
    assert eventually(lambda: not daemons(shop))
