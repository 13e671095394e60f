"""The server that is set up: reached as root, changed by one run at a time."""

from __future__ import annotations

import atexit
import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

from ops.hosts import home, leases
from ops.hosts.machine import Machine, Place
from ops.hosts.machines import Machines
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.lock import Lock
from ops.kernel.settings import addresses

FOLDER: Final = str(home.SYSTEM_ROOT / "setup")
"""Of root, on the server: lease and jobs of `setup.server`, the agent for renewals, certbot's files."""
_PLACE: Final = Place(FOLDER, "invops", "setup")
_known: dict[Any, Machines] = {}


def address(host: str) -> str:
    """Return the address of a server as people may write it: without a user it is root's.

    Raises:
        ConfigurationError: It is none.
    """
    text = host if "@" in host else f"root@{host}"
    try:
        addresses.parse(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--host {host!r} is no address", why=str(error), hint="--host root@web1.example.org"
        ) from error
    return text


def machine(context: Context, host: str) -> Machine:
    """Return the server, always the same one, so that its connection is used again.

    Args:
        context: Gives the environment's settings.
        host: Its whole address.
    """
    return next(iter(_machines(context, host)))


def lock(context: Context, host: str) -> Lock:
    """Return the lock of a server."""
    return leases.Leases(context, _machines(context, host))


@contextlib.contextmanager
def locked(context: Context, host: str) -> Iterator[Machine]:
    """Give the server with its lock held; a run that is resumed holds only the environment's."""
    found = machine(context, host)
    if found.lease:
        yield found
        return
    with lock(context, host).hold("setup.server", context.actor, 0):
        yield found


def public_key(text: str, source: str) -> str:
    """Return a public key in one line.

    Raises:
        ConfigurationError: It is none.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1 or not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/]{40,}=*( .*)?", lines[0]):
        raise ConfigurationError(
            f"{source} is no public key of SSH", hint="--key ~/.ssh/id_ed25519.pub"
        )
    return lines[0]


def _machines(context: Context, host: str) -> Machines:
    from ops.hosts.ssh import machine as ssh

    settings = context.settings
    key = (settings.folder, settings.name, host)
    if key not in _known:
        _known[key] = Machines([ssh.as_root(context, host, _PLACE)])
        atexit.register(_known[key].close)
    return _known[key]
