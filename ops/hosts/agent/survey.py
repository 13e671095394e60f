"""Everything that a deploy must know of a host before it changes anything, in one question; changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.hosts.agent import base, containers, drift, facts, lease, look
from ops.hosts.agent.errors import Refused

SECONDS = 15.0
"""How long the registry of an image may take to answer."""


def survey(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what this host is, has and runs; what is missing or broken is part of the answer.

    Args:
        arguments: `project`; `images` (optional): names of images that must be here or to be had, by what they are for.

    Returns:
        `facts` as `facts.found`; `holder` of the lease as `lease.look`; `observed` as `look.observe`, None when that is
        impossible, then `refused` says why; `images`: for each that was asked for `here`, and `why` it cannot be
        fetched.

    Raises:
        Refused: The folder belongs to another environment.
    """
    wanted = arguments.get("images") or {}
    with ThreadPoolExecutor(max_workers=3) as pool:
        known = pool.submit(facts.found, arguments)
        found = pool.map(_image, wanted.values())
        observed, refused = _observed(arguments)
        return {
            "facts": known.result(),
            "holder": lease.look(arguments)["holder"],
            "observed": observed,
            "refused": refused,
            "images": {use: next(found) for use in wanted},
        }


def locked(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the lease and say how it looks under it: a run that has it needs no further question.

    Args:
        arguments: As `lease.acquire`; `project`.

    Returns:
        `fencing` as `lease.acquire`; `observed` as `survey`; `tags`: id of each image by its name; `files` as
        `look.model`.

    Raises:
        Refused: Somebody else holds the lease.
    """
    taken = lease.acquire(arguments)
    with ThreadPoolExecutor(max_workers=1) as pool:
        tags = pool.submit(_tags)
        observed, _ = _observed(arguments)
        files = drift.intact(base.of(arguments)) if observed else []
        return {**taken, "observed": observed, "tags": tags.result(), "files": files}


def _observed(arguments: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    try:
        return look.observe(arguments), None
    except Refused as refused:
        return None, refused.answer()


def _tags() -> dict[str, str]:
    """Return the id of each image by its name: of releases, and of what they stand on."""
    listing = ["image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]
    try:
        lines = containers.run(listing, containers.QUICK_SECONDS, check=False).splitlines()
    except Refused:
        return {}
    return dict(line.split(maxsplit=1) for line in lines if " " in line)


def _image(name: str) -> dict[str, Any]:
    try:
        inspect = ["image", "inspect", "--format", "{{.Id}}", name]
        if containers.run(inspect, containers.QUICK_SECONDS, check=False).strip():
            return {"here": True, "why": ""}
        containers.run(["manifest", "inspect", name], SECONDS)
    except Refused as refused:
        return {"here": False, "why": refused.why or refused.what}
    return {"here": False, "why": ""}
