"""The unprivileged user that services run as when invops itself runs as root, as in containers and CI."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ops.hosts import runner
from ops.hosts.home import SYSTEM_ROOT
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError
from ops.kernel.settings.models import Settings

NAME = "invops"
_NO_SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/false", "/bin/false")


@dataclass(frozen=True)
class Account:
    """A system user without a login shell.

    Args:
        name: Name of the user.
        uid: Number of the user, negative while it is only planned.
        gid: Number of its group, negative while it is only planned.
    """

    name: str
    uid: int
    gid: int

    @property
    def exists(self) -> bool:
        """Whether the system has this user already."""
        return self.uid >= 0

    @property
    def owner(self) -> files.Owner:
        """The numbers for files."""
        return files.Owner(self.uid, self.gid)

    @property
    def folder(self) -> Path:
        """Home folder, for the caches of npm and the like."""
        return SYSTEM_ROOT / "user"


def unprivileged() -> Account | None:
    """Return whom a scratch server may run as when this process is root: the service user, else `nobody`."""
    user = lookup()
    if user is None or user.exists:
        return user
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def lookup() -> Account | None:
    """Return the service user, None when this process is not root; a missing user is planned, not made."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        return Account(NAME, -1, -1)
    return Account(NAME, entry.pw_uid, entry.pw_gid)


def service_account(_: Settings) -> Account | None:
    """Return the service user of an application: the same one for all."""
    return lookup()


def ensure(context: Context) -> Account | None:
    """Make the service user and its folder unless they exist; nothing to do when this process is not root.

    Raises:
        DependencyError: The system has no `useradd`, or it refuses.
    """
    account = lookup()
    if account is None:
        return None
    if not account.exists:
        account = _add(context, account)
    files.make_folder(SYSTEM_ROOT, mode=0o755)
    files.make_folder(account.folder, mode=0o700, owner=account.owner)
    return account


def _add(context: Context, account: Account) -> Account:
    shell = next((each for each in _NO_SHELLS if Path(each).exists()), _NO_SHELLS[-1])
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", str(account.folder)]
    command = ["useradd", *options, "--shell", shell, NAME]
    result = runner.run(context, command, check=False)
    made = lookup()
    # Another run may have made it in the meantime, then useradd fails and the user is there.
    if made is None or not made.exists:
        raise DependencyError(
            f"cannot make the system user {NAME}",
            why=result.stderr.strip(),
            hint=" ".join(command),
        )
    return made
