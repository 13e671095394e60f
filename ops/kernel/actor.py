"""Who is acting: the name that journal and audit carry."""

from __future__ import annotations

import getpass
import os
import platform

from ops.kernel.settings import environ


def current() -> str:
    """Return user@host, with the CI system's user when one is named (GITHUB_ACTOR, GITLAB_USER_LOGIN)."""
    for variable in ("OPS_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if environ.get(variable):
            return f"{environ.get(variable)}@{host()}"
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid{os.geteuid()}"
    return f"{name}@{host()}"


def host() -> str:
    """Return this machine's name."""
    return platform.node() or "localhost"
