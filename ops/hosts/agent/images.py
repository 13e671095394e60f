"""Images of a release on the host: which are there, fetching the others by digest, and handing them on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.hosts.agent import base, containers, lease
from ops.hosts.agent.errors import Refused

_CONFIG = "DOCKER_CONFIG"
_LOGIN = ".login-"
_MISSING = ("not found", "manifest unknown", "No such image")
_SILENT = ("connection refused", "no such host", "i/o timeout", "deadline exceeded", "no route")


def there(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say which images this host has.

    Args:
        arguments: `tags`: name of the image of each service.

    Returns:
        `ids`: id of the image of each service, empty for one that is missing.
    """
    return {"ids": {service: _id(tag) for service, tag in arguments["tags"].items()}}


def pull(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fetch images by digest and give them their names.

    Args:
        arguments: `lease`; `references`: where to fetch the image of each service from, with its digest; `tags`: its
            name here; `login` to the registry, see `_logged_in`; `limit` in seconds.

    Returns:
        `ids`: as `there`.

    Raises:
        Refused: The registry is out of reach, or the image is not there.
    """
    lease.guard(arguments)
    until = time.monotonic() + float(arguments["limit"])
    references, tags = arguments["references"], arguments["tags"]

    def fetch(reference: str) -> None:
        try:
            containers.run(["pull", "--quiet", reference], until - time.monotonic())
        except Refused as refused:
            raise _translated(reference, refused) from refused

    with _logged_in(arguments, until), ThreadPoolExecutor(max_workers=3) as pool:
        list(pool.map(fetch, sorted(set(references.values()))))
    for service, reference in references.items():
        containers.run(["tag", reference, tags[service]], containers.QUICK_SECONDS)
    # By these names nobody asks for them again; left behind, they would keep images that nothing needs.
    for reference in sorted(set(references.values())):
        containers.run(["rmi", "--no-prune", reference], containers.QUICK_SECONDS, check=False)
    return there(arguments)


def push(arguments: dict[str, Any]) -> dict[str, Any]:
    """Hand images on to a registry. It changes nothing of this environment, so nobody has to hold its lease.

    Args:
        arguments: `images`: id of the image of each service; `names`: what each is called in the registry; `place`: the
            registry; `limit` in seconds.

    Returns:
        `pushed`: where each is, without the host: "app-web@sha256:...".

    Raises:
        Refused: An image is gone, or the registry does not take it.
    """
    until = time.monotonic() + float(arguments["limit"])
    pushed = {}
    for service, image in arguments["images"].items():
        name = f"{arguments['place']}/{arguments['names'][service]}"
        containers.run(["tag", image, name], containers.QUICK_SECONDS)
        try:
            containers.run(["push", "--quiet", name], until - time.monotonic())
            pushed[service] = _digest(name)
        finally:
            containers.run(["rmi", "--no-prune", name], containers.QUICK_SECONDS, check=False)
    return {"pushed": pushed}


def _digest(name: str) -> str:
    """Return name and digest of an image that was pushed just now, without the registry's host."""
    repository = name.rpartition(":")[0]
    form = ["image", "inspect", "--format", "{{json .RepoDigests}}", name]
    found = json.loads(containers.run(form, containers.QUICK_SECONDS))
    for each in found:
        if each.startswith(f"{repository}@"):
            return f"{repository.rpartition('/')[2]}@{each.partition('@')[2]}"
    raise Refused("failed", f"the registry gave no digest for {name}", f"it has {found}")


@contextlib.contextmanager
def _logged_in(arguments: dict[str, Any], until: float) -> Iterator[None]:
    """Log in for a block; what Docker writes about it is private to this process and gone afterwards.

    Args:
        arguments: `login`, None for none: `registry`, `user`, `password`.
        until: When to give up.
    """
    login = arguments.get("login")
    if not login:
        yield
        return
    for left in base.of(arguments).glob(f"{_LOGIN}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=_LOGIN, dir=base.of(arguments))
    before = os.environ.get(_CONFIG)
    os.environ[_CONFIG] = folder
    try:
        done = subprocess.run(
            ["docker", "login", "--username", login["user"], "--password-stdin", login["registry"]],
            input=login["password"],
            capture_output=True,
            text=True,
            timeout=max(0.1, until - time.monotonic()),
            check=False,
        )
        if done.returncode != 0:
            why = done.stderr.strip().splitlines()[-1:]
            raise Refused("permission", f"cannot log in to {login['registry']}", "".join(why))
        yield
    except subprocess.TimeoutExpired:
        raise Refused("failed", f"no answer to the login from {login['registry']}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop(_CONFIG)
        else:
            os.environ[_CONFIG] = before


def _translated(reference: str, refused: Refused) -> Refused:
    lines = refused.why.splitlines()[-1:]
    if any(word in refused.why for word in _MISSING):
        hint = "deploy it again where it was built"
        return Refused("failed", f"image {reference} is not in its registry", "".join(lines), hint)
    if any(word in refused.why for word in _SILENT):
        return Refused("failed", f"no answer from the registry of {reference}", "".join(lines))
    return refused


def _id(tag: str) -> str:
    found = containers.run(
        ["image", "inspect", "--format", "{{.Id}}", tag], containers.QUICK_SECONDS, check=False
    )
    return found.strip()
