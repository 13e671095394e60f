"""Where hosts fetch images from: the user's registry, or a temporary one beside the deployer.

One path for both: an image is pushed, its digest is what the registry answers, and the host pulls by that digest. A
temporary registry listens on this machine's 127.0.0.1, which every engine trusts without TLS; the hosts reach it
through the reverse forward of the SSH connection, at their own 127.0.0.1. What it stores stays for the week in a volume:
a push compresses only the layers that are new, which is most of its time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from typing import Final

from ops.hosts import http, runner
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, StepFailed

PORT: Final = 5000
"""Port that a registry listens on inside its container."""
_STORE: Final = "/images"
_READY_SECONDS: Final = 20.0
_POLL: Final = 0.05


@contextlib.contextmanager
def temporary(context: Context, image: str, owner: str) -> Iterator[int]:
    """Run a registry on this machine's engine for a block and give its port.

    Args:
        context: Gives the deadline.
        image: Of the registry.
        owner: Whose it is: one that a killed run of the same owner left is removed.

    Raises:
        StepFailed: It does not start.
    """
    guard.effect("run a registry for images")
    label = f"invops.registry={owner}"
    argv = ["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}"]
    for left in runner.run(context, argv, reads=True).stdout.split():
        _remove(context, left)
    volume = _volume(context, label, owner)
    argv = ["docker", "run", "--detach", "--label", label, "--publish", f"127.0.0.1::{PORT}"]
    argv += ["--mount", f"type=volume,source={volume},target={_STORE},volume-label={label}"]
    argv += ["--env", f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={_STORE}"]
    container = runner.run(context, [*argv, image]).stdout.split()[-1]
    try:
        shown = runner.run(context, ["docker", "port", container, str(PORT)], reads=True).stdout
        port = int(shown.strip().rpartition(":")[2])
        _wait(context, port)
        yield port
    finally:
        _remove(dataclasses.replace(context, deadline=Deadline(_READY_SECONDS)), container)


def push(context: Context, tags: Mapping[str, str], place: str) -> dict[str, str]:
    """Push images and return where each is, by digest and without the host: "app-web@sha256:...".

    Args:
        context: Gives the deadline.
        tags: Name of the image of each service here.
        place: Registry, "127.0.0.1:49153" or "registry.example.org/shop".
    """
    found: dict[str, str] = {}
    for service, tag in tags.items():
        name = tag.rpartition(":")[0].replace("/", "-")
        there = f"{place}/{name}:{tag.rpartition(':')[2]}"
        runner.run(context, ["docker", "tag", tag, there])
        try:
            runner.run(context, ["docker", "push", "--quiet", there])
            found[service] = f"{name}@{_digest(context, there, f'{place}/{name}')}"
        finally:
            runner.run(context, ["docker", "rmi", "--no-prune", there], check=False)
    return found


def _volume(context: Context, label: str, owner: str) -> str:
    """Return the name of this week's store; those of earlier weeks are removed, so it cannot grow without end."""
    name = f"invops-registry-{owner}-{time.strftime('%Gw%V')}"
    argv = ["docker", "volume", "ls", "--quiet", "--filter", f"label={label}"]
    for each in runner.run(context, argv, reads=True).stdout.split():
        if each != name:
            runner.run(context, ["docker", "volume", "rm", each], check=False)
    return name


def _remove(context: Context, container: str) -> None:
    runner.run(context, ["docker", "rm", "--force", "--volumes", container], check=False)


def _digest(context: Context, there: str, name: str) -> str:
    argv = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", there]
    digests = json.loads(runner.run(context, argv, reads=True).stdout)
    for each in digests:
        if each.startswith(f"{name}@"):
            return str(each.partition("@")[2])
    raise StepFailed(f"the registry gave no digest for {there}", why=f"it has {digests}")


def _wait(context: Context, port: int) -> None:
    deadline = Deadline(min(_READY_SECONDS, context.deadline.remaining()))
    while why := _lacks(port):
        if deadline.remaining() <= 0:
            raise StepFailed("the temporary registry does not answer", why=why)
        context.deadline.check("waiting for the temporary registry")
        time.sleep(_POLL)


def _lacks(port: int) -> str:
    try:
        status = http.get(f"http://127.0.0.1:{port}/v2/", timeout=2.0).status
    except ConnectionFailed as error:
        return error.why
    return "" if status == 200 else f"it answers with status {status}"
