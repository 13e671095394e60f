"""A Docker engine with Compose and buildx: the one that answers, else one that the tests start and stop."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import lacking, require

PATIENCE_SECONDS = 60
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "invops-tests"
"""Keeps what is expensive between runs of the tests."""
PID_FILE = CACHE / "engine.pid"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock among all processes that run tests, whatever they are of."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def docker(*arguments: str, check: bool = True, given: bytes | None = None) -> str:
    """Run `docker` and return what it printed.

    Args:
        arguments: Of the command.
        check: Whether an error fails the test.
        given: Its standard input.
    """
    ran = subprocess.run(["docker", *arguments], input=given, capture_output=True, check=False)
    if check and ran.returncode != 0:
        pytest.fail(f"docker {' '.join(arguments)}:\n{ran.stderr.decode()}{ran.stdout.decode()}")
    return ran.stdout.decode()


def complaint() -> str:
    """Return why no engine answers, nothing when one does."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stderr.strip() or "no answer"


def plugins(*names: str) -> None:
    """Check that Docker has these plug-ins; a missing one fails in CI."""
    require("docker", "docker.io")
    for name in names:
        if not docker(name, "version", check=False):
            lacking(f"Docker's plug-in {name} is missing: inv test --install")


@contextmanager
def running() -> Iterator[None]:
    """Provide an engine for as long as the context lasts.

    One that we start listens where `docker` looks for it, keeps its data in our own folder, and is
    shared by all processes that run tests; the last of them stops it.
    """
    plugins("compose", "buildx")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "engine.users", "a", encoding="utf-8") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with locked("engine"):
            if why := complaint():
                _start(why)
        yield
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _stop()


def _start(why: str) -> None:
    if os.environ.get("DOCKER_HOST") or os.geteuid() != 0:
        lacking(f"Docker's engine does not answer, and only root can start it: {why}")
    dockerd = require("dockerd", "docker.io", "/usr/sbin")
    log, data = CACHE / "engine.log", CACHE / "engine"
    options = [f"--pidfile={PID_FILE}", f"--data-root={data}"]
    command = ["setsid", "--fork", str(dockerd), *options]
    with open(log, "wb") as output:  # no child of ours: it may outlive the process that starts it
        subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while complaint():
        said = log.read_text(encoding="utf-8", errors="replace")
        if "failed to start" in said or time.monotonic() > deadline:
            lacking(f"Docker's engine does not start here:\n{said[-2000:]}")
        time.sleep(0.1)


def _stop() -> None:
    """Stop the engine if it is one of ours, and wait until it is gone."""
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        engine = psutil.Process(int(PID_FILE.read_text(encoding="utf-8")))
        if engine.name() == "dockerd":
            engine.terminate()
            engine.wait(PATIENCE_SECONDS)
