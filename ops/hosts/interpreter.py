"""Finds a Python for services and their environments: one that the service user can execute."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.hosts import access, runner
from ops.hosts.account import Account
from ops.kernel.errors import DependencyError

OLDEST = (3, 11)
_NEWEST_MINOR = 19
_QUESTION = "import sys; print(*sys.version_info[:2])"


@functools.lru_cache(maxsize=8)
def find(account: Account | None) -> Path:
    """Return the Python that this program runs on, else another one that the service user can execute.

    Root's own Python is often below root's 0700 home (pyenv, uv), where nobody else can enter.

    Args:
        account: The service user, None when this process is not root.

    Raises:
        DependencyError: There is none.
    """
    for path in _candidates():
        if access.may_run(path, account.owner if account else None) and _is_usable(path, account):
            return path
    who = f"user {account.name} can" if account else "you can"
    raise DependencyError(
        f"no Python {OLDEST[0]}.{OLDEST[1]} or newer that {who} execute",
        why=f"the one in use is {Path(sys.executable).resolve()}",
        hint="brew install python3" if sys.platform == "darwin" else "apt-get install -y python3",
    )


def _candidates() -> Iterator[Path]:
    # An environment's Python may be removed with the environment, its base stays.
    yield Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    names = ["python3", *(f"python3.{minor}" for minor in range(_NEWEST_MINOR, OLDEST[1] - 1, -1))]
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", *os.get_exec_path()):
        for name in names:
            if found := shutil.which(name, path=folder):
                yield Path(found)


def _is_usable(path: Path, account: Account | None) -> bool:
    """Ask it for its version, as the service user where that one exists already."""
    running = account if account and account.exists else None
    answer = runner.probe([str(path), "-I", "-c", _QUESTION], account=running).split()
    return len(answer) == 2 and (int(answer[0]), int(answer[1])) >= OLDEST
