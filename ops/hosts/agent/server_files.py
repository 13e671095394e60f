"""The environment's folder on a server, and the file with its variables: both of the user that deploys."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from ops.hosts.agent import base
from ops.hosts.agent.errors import Refused

FOR_ALL = 0o755


def folder_differs(wanted: dict[str, Any]) -> str:
    """Say what is wrong with the environment's folder.

    Args:
        wanted: `path`; `user` that deploys; `owner`: application and environment.

    Raises:
        Refused: It belongs to another environment, or to another user who has deployed.
    """
    path = Path(wanted["path"])
    base.check_owner({"base": wanted["path"], "owner": wanted["owner"]})
    try:
        found = path.stat()
    except FileNotFoundError:
        return "missing"
    if not stat.S_ISDIR(found.st_mode):
        raise Refused("config", f"{path} is no folder")
    uid = _uid(wanted["user"])
    if found.st_uid != uid:
        if any(path.iterdir()):
            other = pwd.getpwuid(found.st_uid).pw_name
            raise Refused(
                "config",
                f"{path} belongs to user {other}, who has deployed there",
                hint=f"deploy as {other} (hosts in ops.toml), or give the files to {wanted['user']} yourself",
            )
        return f"not of {wanted['user']}"
    return "" if stat.S_IMODE(found.st_mode) == 0o700 else "open to others"


def make_folder(wanted: dict[str, Any]) -> None:
    """Make the folder, for its user alone."""
    path = Path(wanted["path"])
    path.parent.mkdir(mode=FOR_ALL, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    account = pwd.getpwnam(wanted["user"])
    os.chown(path, account.pw_uid, account.pw_gid)


def variables_differ(wanted: dict[str, Any]) -> str:
    """Say what is wrong with the file of variables.

    Args:
        wanted: `path`; `user`; `sha256` of its content.
    """
    path = Path(wanted["path"])
    try:
        found = path.stat()
        content = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
        return "has other values"
    if (found.st_uid, stat.S_IMODE(found.st_mode)) != (_uid(wanted["user"]), 0o600):
        return f"not of {wanted['user']} alone"
    return ""


def write_variables(wanted: dict[str, Any]) -> None:
    """Write the file of variables, for its user alone.

    Args:
        wanted: As for `variables_differ`; `content`.
    """
    path = Path(wanted["path"])
    path.parent.mkdir(mode=FOR_ALL, parents=True, exist_ok=True)
    account = pwd.getpwnam(wanted["user"])
    base.write(path, wanted["content"], 0o600, (account.pw_uid, account.pw_gid))


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1  # it is made in an earlier step
