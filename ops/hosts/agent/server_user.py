"""The user that deploys: it may use Docker, and it is let in with one key. Who may use Docker is as strong as root."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, commands

GROUP = "docker"


def lacks(wanted: dict[str, Any]) -> str:
    """Say what a user lacks.

    Args:
        wanted: `user`; `key`, its public key in one line, empty for no change.
    """
    name = wanted["user"]
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return "there is no such user"
    found = []
    if account.pw_uid != 0 and not _may_use_docker(account):
        found.append(f"not in group {GROUP}")
    if wanted["key"] and not _has_key(account, wanted["key"]):
        found.append("does not know the key")
    return ", ".join(found)


def make(wanted: dict[str, Any]) -> None:
    """Make the user, let it use Docker, add the key; what it has already stays."""
    name = wanted["user"]
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        # No password is right ("*"); "!" would be a locked account, which some SSH servers let nobody into.
        commands.run(["useradd", "--create-home", "--shell", "/bin/bash", "-p", "*", name])
        account = pwd.getpwnam(name)
    if account.pw_uid != 0 and not _may_use_docker(account):
        commands.run(["usermod", "--append", "--groups", GROUP, name])
    if wanted["key"] and not _has_key(account, wanted["key"]):
        _add_key(account, wanted["key"])


def _may_use_docker(account: pwd.struct_passwd) -> bool:
    try:
        group = grp.getgrnam(GROUP)
    except KeyError:
        return False
    return account.pw_name in group.gr_mem or account.pw_gid == group.gr_gid


def _has_key(account: pwd.struct_passwd, key: str) -> bool:
    try:
        lines = _keys(account).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    return any(key.split()[1] in line.split() for line in lines if not line.startswith("#"))


def _add_key(account: pwd.struct_passwd, key: str) -> None:
    path, owner = _keys(account), (account.pw_uid, account.pw_gid)
    # A `useradd` that was killed, or one without --create-home, leaves a user without a home.
    home = path.parent.parent
    if not home.exists():
        home.mkdir(mode=0o700)
        os.chown(home, *owner)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Before the key is there: a run that finds the key does not look at who may read it.
    os.chown(path.parent, *owner)
    before = path.read_text("utf-8") if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    base.write(path, f"{before}{key}\n", 0o600, owner)


def _keys(account: pwd.struct_passwd) -> Path:
    return Path(account.pw_dir) / ".ssh" / "authorized_keys"
