"""Images of a release on the host: which are there, and fetching the others by digest."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.hosts.agent import containers, lease


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
            name here; `limit` in seconds.

    Returns:
        `ids`: as `there`.

    Raises:
        Refused: The registry is out of reach, or the image is not there.
    """
    lease.guard(arguments)
    until = time.monotonic() + float(arguments["limit"])
    references, tags = arguments["references"], arguments["tags"]

    def fetch(reference: str) -> None:
        containers.run(["pull", "--quiet", reference], until - time.monotonic())

    with ThreadPoolExecutor(max_workers=3) as pool:
        list(pool.map(fetch, sorted(set(references.values()))))
    for service, reference in references.items():
        containers.run(["tag", reference, tags[service]], containers.QUICK_SECONDS)
    return there(arguments)


def _id(tag: str) -> str:
    found = containers.run(
        ["image", "inspect", "--format", "{{.Id}}", tag], containers.QUICK_SECONDS, check=False
    )
    return found.strip()
