"""The data folder of a scratch server: initdb once, afterwards unpacked from what it made, in a third of the time."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from typing import Final

from ops.hosts import home, runner
from ops.hosts.account import Account
from ops.kernel import files, guard
from ops.kernel.context import Context
from ops.kernel.errors import OpsError

SUPERUSER: Final = "postgres"
MAINTENANCE: Final = "template1"
"""Database that is always there."""
_OPTIONS: Final = (
    f"--username={SUPERUSER}",
    "--auth=trust",
    "--no-sync",
    "--no-instructions",
    "--encoding=UTF8",
    f"--locale={'C.UTF-8' if sys.platform == 'linux' else 'C'}",
)


def make(context: Context, binaries: Path, major: int, folder: Path, user: Account | None) -> None:
    """Make `data` in a scratch folder that belongs to `user`.

    Args:
        context: Gives the deadline and the home that keeps the template.
        binaries: Folder with initdb.
        major: Its major version.
        folder: The scratch folder.
        user: Who will run the server, None for this user.

    Raises:
        StepFailed: initdb failed.
    """
    template = _template(context, binaries, major)
    if _unpacked(context, template, folder, user):
        return
    command = [str(binaries / "initdb"), f"--pgdata={folder / 'data'}", *_OPTIONS]
    runner.run(context, command, reads=True, account=user)
    _slim(context, binaries, folder, user)
    # A dry run and a read task take a template that is there, and make none.
    if guard.may_change():
        with contextlib.suppress(OpsError):  # saves time only
            home.create(home.of(context.settings), user.owner if user else None)
            _keep(context, template, folder)


def _slim(context: Context, binaries: Path, folder: Path, user: Account | None) -> None:
    """Drop the database that nobody uses: a third of the files, and unpacking them is most of the start."""
    argv = [str(binaries / "postgres"), "--single", "-D", str(folder / "data"), MAINTENANCE]
    drop = b"drop database postgres;\n"
    runner.run(context, argv, reads=True, account=user, input=drop)


def _template(context: Context, binaries: Path, major: int) -> Path:
    what = "\n".join((str(binaries.resolve()), *_OPTIONS, MAINTENANCE))
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    return home.of(context.settings).path / "scratch" / f"postgres-{major}-{digest}.tar"


def _unpacked(context: Context, template: Path, folder: Path, user: Account | None) -> bool:
    """Unpack the template; a service user that cannot read it, or a broken one, is no reason to fail."""
    if not template.is_file():
        return False
    argv = ["tar", "-xf", str(template), "-C", str(folder)]
    with contextlib.suppress(OpsError):
        runner.run(context, argv, reads=True, account=user)
        return True
    files.remove(folder / "data")
    return False


def _keep(context: Context, template: Path, folder: Path) -> None:
    files.make_folder(template.parent, mode=0o755)
    with home.locked(template.parent, context.deadline):
        partial = template.with_name(f"{template.name}.partial")
        with files.stream(partial, mode=0o644) as stream:
            argv = ["tar", "-cf", "-", "-C", str(folder), "data"]
            runner.run(context, argv, reads=True, stdout_to=stream)
        files.rename(partial, template)
