"""A second environment of the small Compose application, which takes what the first one has proved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.docker.deployed import Small, remove
from tests.support.places import free_port


@contextmanager
def production_of(staging: Small, policy: str, *, without: str = "") -> Iterator[Small]:
    """Describe another environment like the first one, in the same repository; nothing of it is left at the end.

    Args:
        staging: The first one.
        policy: What is written below it; `{name}` is it, `{staging}` the first one.
        without: What the first one has and it does not.
    """
    made = Small(staging.folder, staging.base, f"p{free_port()}", free_port())
    text = (staging.folder / "ops.toml").read_text(encoding="utf-8")
    mine = text.partition(f"[environments.{staging.environment}]")[2]
    for old, new in (
        (staging.environment, made.environment),
        (f"port = {staging.port}\n", f"port = {made.port}\n"),
        ("/containers", "/production"),
        (without, ""),
    ):
        mine = mine.replace(old, new)
    added = policy.format(name=made.environment, staging=staging.environment)
    made.put("ops.toml", f"{text}\n[environments.{made.environment}]{mine}{added}")
    made.commit("production")
    try:
        yield made
    finally:
        made.put("ops.toml", text)
        made.commit("no production")
        remove(made)


def watched_docker(folder: Path) -> tuple[dict[str, str], Path]:
    """Put a `docker` before the real one that writes down what it is asked for.

    Returns:
        The variables of a command that uses it, and the file that it writes.
    """
    real, log, shim = shutil.which("docker"), folder / "asked", folder / "docker"
    shim.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}, log
