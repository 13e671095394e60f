"""A PostgreSQL server of our own for a moment: restores are proved on it, migrations replayed, locks looked at.

It lives in a temporary folder, listens on a socket that only its user can reach, and writes nothing safely: nobody
needs its data after a crash. A shell watches a pipe of this process, so the server and its data are gone as well
when this process is killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from psycopg import sql as statements
from pydantic import SecretStr

from ops.database import scratch_cluster, sql
from ops.database.scratch_cluster import MAINTENANCE, SUPERUSER
from ops.hosts import account, home, tools, watched
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, DependencyError, StepFailed

_READY_SECONDS: Final = 30.0
_POLL: Final = 0.01
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "maintenance_work_mem": "256MB",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class Scratch:
    """A running scratch server.

    Args:
        binaries: Folder of its programs: pg_restore, pg_dump, psql.
        major: Its major version.
        socket: Folder of its socket.
    """

    binaries: Path
    major: int
    socket: Path

    def url(self, database: str = MAINTENANCE) -> SecretStr:
        """Return the URL of one of its databases, for its superuser; there is no password."""
        folder = quote(str(self.socket), safe="/")
        return SecretStr(f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={folder}")

    def make(self, database: str) -> SecretStr:
        """Make an empty database and return its URL."""
        with sql.connect(self.url(), read_only=False, autocommit=True) as connection:
            name = statements.Identifier(database)
            connection.execute(statements.SQL("create database {} template template0").format(name))
        return self.url(database)


@contextlib.contextmanager
def server(context: Context, *, major: int = 0) -> Iterator[Scratch]:
    """Run a scratch server for a block; allowed in a dry run.

    Args:
        context: Gives deadline and log.
        major: Version of the server that it stands in for: this one, else the next above it; 0 for any.

    Raises:
        DependencyError: No PostgreSQL of that version or above is on this machine.
        StepFailed: It does not start.
    """
    binaries, found = _binaries(context, major)
    user = account.unprivileged()
    with files.scratch("invops-pg-") as folder:
        files.make_folder(folder, mode=0o700, owner=user.owner if user else None)
        scratch_cluster.make(context, binaries, found, folder, user)
        options = {**_OPTIONS, "unix_socket_directories": str(folder)}
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        argv = [str(binaries / "postgres"), "-D", str(folder / "data"), *settings]
        # SIGQUIT waits for nothing.
        with watched.running(context, folder, argv, signal="QUIT", account=user):
            made = Scratch(binaries, found, folder)
            _wait_ready(context, made)
            yield made


def _binaries(context: Context, major: int) -> tuple[Path, int]:
    kit = tools.KITS["postgres"]
    there = [
        (int(tools.version(folder / "postgres").split(".")[0]), folder)
        for folder in tools.folders(home.of(context.settings), kit)
    ]
    fitting = [each for each in there if each[0] >= major]
    if not fitting:
        newest = max((each[0] for each in there), default=0)
        raise DependencyError(
            f"PostgreSQL{f' {major} or newer' if major else ''} is not on this machine",
            why=f"the newest here is {newest}" if newest else "",
            hint=f"{kit.command}{f'-{major}' if major else ''}",
        )
    # The same version if there is one, else the nearest; of equal ones the first that was found.
    best = min(fitting, key=lambda each: each[0]) if major else fitting[0]
    return best[1], best[0]


def _wait_ready(context: Context, made: Scratch) -> None:
    deadline = Deadline(min(_READY_SECONDS, context.deadline.remaining()))
    while True:
        try:
            with sql.connect(made.url(), read_only=True):
                return
        except ConnectionFailed as error:
            if deadline.remaining() <= 0:
                raise StepFailed("the scratch server does not start", why=error.why) from error
        time.sleep(_POLL)
