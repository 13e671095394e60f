"""A MariaDB server of our own for a moment: restores are proved on it.

It lives in a temporary folder, listens on a socket that only its user can reach, and writes nothing safely: nobody
needs its data after a crash. A shell watches a pipe of this process, so the server and its data are gone as well
when this process is killed. See `scratch` for PostgreSQL's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from ops.database import mysql, mysql_programs
from ops.database.mysql_programs import Program, Version
from ops.hosts import account, runner, watched
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, DependencyError, StepFailed

SUPERUSER: Final = "root"
PACKAGE: Final = "mariadb-server"
_READY_SECONDS: Final = 30.0
_POLL: Final = 0.01
# Measured: the system tables take 0.4 s with these, 1.7 s without.
_OPTIONS: Final = (
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    "--debug-no-sync",
    "--skip-log-bin",
    "--skip-name-resolve",
)
_SERVER: Final = (
    "--skip-networking",
    "--performance-schema=off",
    "--event-scheduler=off",
    "--max-allowed-packet=1G",
    "--innodb-buffer-pool-size=256M",
    # Whatever rows the dump holds were legal where it was made.
    "--innodb-strict-mode=off",
    "--log-bin-trust-function-creators=on",
)


@dataclass(frozen=True)
class Scratch:
    """A running scratch server.

    Args:
        version: What it is.
        socket: Its socket.
    """

    version: Version
    socket: Path

    def url(self, database: str = "") -> SecretStr:
        """Return the URL of one of its databases, for its superuser; there is no password."""
        place = quote(str(self.socket), safe="")
        name = quote(database, safe="")
        return SecretStr(f"mysql://{SUPERUSER}@localhost/{name}?unix_socket={place}")

    def make(self, database: str) -> SecretStr:
        """Make an empty database and return its URL."""
        return mysql.make_database(self.url(), database)


@contextlib.contextmanager
def server(context: Context, *, least: Version | None = None) -> Iterator[Scratch]:
    """Run a scratch server for a block; allowed in a dry run.

    Args:
        context: Gives deadline and log.
        least: The server that it stands in for; None for any.

    Raises:
        DependencyError: No MariaDB of that version or above is on this machine.
        StepFailed: It does not start.
    """
    program = _program(least)
    user = account.unprivileged()
    with files.scratch("invops-my-") as folder:
        files.make_folder(folder, mode=0o700, owner=user.owner if user else None)
        _make_system_tables(context, program, folder, user)
        made = Scratch(program.version, folder / "s.sock")
        argv = [
            str(program.path),
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--socket={made.socket}",
            f"--pid-file={folder / 'pid'}",
            f"--tmpdir={folder}",
            *_OPTIONS,
            *_SERVER,
        ]
        # Every other signal makes it shut down in good order.
        with watched.running(context, folder, argv, signal="KILL", account=user):
            _wait_ready(made)
            yield made


def _program(least: Version | None) -> Program:
    there = [
        each
        for each in mysql_programs.programs(["mariadbd", "mysqld"])
        if each.version.vendor == "MariaDB"
    ]
    fitting = [each for each in there if least is None or each.version.serves(least)]
    if not fitting:
        newest = max((each.version for each in there), key=lambda each: each.number, default=None)
        raise DependencyError(
            f"{least.title if least else 'MariaDB'}{' or newer' if least else ''} is not on this machine",
            why=f"the newest here is {newest.title}" if newest else "",
            hint=f"apt-get install -y {PACKAGE}",
        )
    # The nearest version; of equal ones the first that was found.
    return min(fitting, key=lambda each: each.version.major) if least else fitting[0]


def _make_system_tables(
    context: Context, program: Program, folder: Path, user: account.Account | None
) -> None:
    installer = program.path.parent.parent / "bin" / "mariadb-install-db"
    command = [
        str(installer) if installer.exists() else "mariadb-install-db",
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        *_OPTIONS,
    ]
    runner.run(context, command, reads=True, account=user)


def _wait_ready(made: Scratch) -> None:
    deadline = Deadline(_READY_SECONDS)
    while True:
        try:
            with mysql.connect(made.url(), read_only=True):
                return
        except ConnectionFailed as error:
            if deadline.remaining() <= 0:
                raise StepFailed("the scratch server does not start", why=error.why) from error
        time.sleep(_POLL)
