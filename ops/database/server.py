"""The embedded PostgreSQL server: found or installed binaries, one cluster for each project, run by the daemon.

It listens only on a Unix socket in the project's private folder, passwords are scram, and it never runs as root.
Research: the wheel's own Python interface has four reproduced defects, so only its binaries are used.
"""

from __future__ import annotations

import json
import secrets as randomness
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from ops.database import cluster, sql
from ops.hosts import home as homes
from ops.hosts import runner, tools
from ops.hosts.account import Account
from ops.hosts.home import Home
from ops.hosts.supervisor import Daemon, Program
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, ConnectionFailed, DependencyError

PROGRAM = "postgres"
"""Name of the program and of its group."""
SUPERUSER = "postgres"
_READY_SECONDS = 60.0
_POLL = 0.05


class Server:
    """The embedded server of one home.

    Args:
        context: Gives the deadline of every wait.
        home: Its home.
        daemon: Runs it.
        account: The service user when this process is root.
    """

    def __init__(
        self, context: Context, home: Home, daemon: Daemon, account: Account | None
    ) -> None:
        self.context = context
        self.home = home
        self.daemon = daemon
        self.account = account
        self._data = home.postgres / "data"

    def installed(self) -> bool:
        """Say whether binaries of the right major version are on this machine."""
        return next(self._folders(), None) is not None

    def running(self) -> bool:
        """Say whether it takes connections."""
        try:
            with self._admin(read_only=True):
                return True
        except (ConnectionFailed, ConfigurationError):
            return False

    def ensure(self) -> None:
        """Bring it up: make the cluster on first use, start it, wait until it answers.

        Raises:
            DependencyError: The binaries are missing.
            StepFailed: It does not start; the last lines of its log are the reason.
        """
        self.daemon.ensure()
        self.account = self.daemon.account
        binaries = self._binaries()
        files.make_folder(self.home.postgres, mode=0o755 if self.account else 0o700)
        with homes.locked(self.home.postgres, self.context.deadline):
            if not self._data.is_dir():
                password = self._password(SUPERUSER) or randomness.token_urlsafe(24)
                self._remember(SUPERUSER, password)
                cluster.create(
                    self.context, binaries, self._data, SUPERUSER, password, self.account
                )
            self.daemon.add(PROGRAM, [self._program(binaries)])
        self._wait_ready()

    def has_database(self, name: str) -> bool:
        """Say whether it runs and `ensure_database` was done for this name."""
        if self._password(name) is None:
            return False
        try:
            with self._admin(read_only=True) as connection:
                row = connection.execute("select from pg_database where datname = %s", [name])
                return row.fetchone() is not None
        except (ConnectionFailed, ConfigurationError):
            return False

    def ensure_database(self, name: str) -> None:
        """Make a database and the role of the same name that owns it; nothing happens when they are there."""
        with homes.locked(self.home.postgres, self.context.deadline):
            if self.has_database(name):
                return
            with self._admin(autocommit=True) as connection:
                if self._password(name) is None:
                    # The role first: a password that is written down is one that works.
                    password = randomness.token_urlsafe(24)
                    cluster.set_role(connection, name, password)
                    self._remember(name, password)
                cluster.make_database(connection, name)

    def url(self, name: str) -> SecretStr:
        """Return the URL of a database for its owner.

        Raises:
            ConfigurationError: `ensure_database` was never done for this name.
        """
        password = self._password(name)
        if password is None:
            raise ConfigurationError(
                f"the embedded server has no database {name} yet", hint="inv deploy makes it"
            )
        return self._url(name, name, password)

    def admin_url(self, database: str = "postgres") -> SecretStr:
        """Return the URL of a database for the superuser.

        Raises:
            ConfigurationError: Its password is lost, or the cluster was never made.
        """
        password = self._password(SUPERUSER)
        if password is None:
            raise ConfigurationError(
                "the password of the embedded server is missing",
                why=f"{self._credentials} does not hold it",
                hint=f"restore that file, or move {self.home.postgres} away to begin anew",
            )
        return self._url(SUPERUSER, database, password)

    def login(self, role: str, database: str) -> tuple[str, SecretStr] | None:
        """Return password and URL of a role for a database, None when it never got a password."""
        password = self._password(role)
        return None if password is None else (password, self._url(role, database, password))

    def ensure_password(self, role: str) -> None:
        """Write a new password for a role down when it has none; who makes the role gives it to the server."""
        with homes.locked(self.home.postgres, self.context.deadline):
            if self._password(role) is None:
                self._remember(role, randomness.token_urlsafe(24))

    def tool(self, name: str) -> Path:
        """Return a client program of the server's own version, e.g. "pg_dump".

        Raises:
            DependencyError: It is not on this machine.
        """
        return self._binaries() / name

    def _folders(self) -> Iterator[Path]:
        """Yield folders of binaries that fit the data folder, best first."""
        needed = cluster.major(self._data)
        for folder in tools.folders(self.home, tools.KITS["postgres"]):
            if needed is None or tools.version(folder / "postgres").split(".")[0] == str(needed):
                yield folder

    def _binaries(self) -> Path:
        folder = next(self._folders(), None)
        if folder is None:
            needed = cluster.major(self._data)
            kit = tools.KITS["postgres"]
            raise DependencyError(
                f"PostgreSQL{f' {needed}' if needed else ''} is not on this machine",
                why=f"{self._data} was made by it" if needed else "",
                hint=f"{kit.command}{f'-{needed}' if needed else ''}",
            )
        return folder

    def _program(self, binaries: Path) -> Program:
        settings = {
            "unix_socket_directories": str(self.home.sockets),
            "unix_socket_permissions": "0700",
            "listen_addresses": "",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name=PROGRAM,
            argv=[str(binaries / "postgres"), "-D", str(self._data), *options],
            cwd=self._data,
            environment=runner.base_environment(self.account),
            # Fast shutdown: SIGTERM would wait for every client.
            stop_signal="INT",
            stop_seconds=60,
        )

    def _wait_ready(self) -> None:
        deadline = Deadline(min(_READY_SECONDS, self.context.deadline.remaining()))
        while True:
            try:
                with self._admin(read_only=True):
                    return
            except ConnectionFailed:
                self.daemon.fail_if_given_up(PROGRAM)
            self.context.deadline.check("starting PostgreSQL")
            deadline.check("starting PostgreSQL")
            time.sleep(_POLL)

    def _admin(
        self, *, read_only: bool = False, autocommit: bool = False
    ) -> AbstractContextManager[sql.Connection]:
        url = self.admin_url()
        return sql.connect(url, read_only=read_only, autocommit=autocommit)

    def _url(self, user: str, database: str, password: str) -> SecretStr:
        self.context.secrets.redactor.add(password)
        folder = quote(str(self.home.sockets), safe="/")
        return SecretStr(
            f"postgresql://{quote(user)}:{quote(password)}@/{quote(database)}?host={folder}"
        )

    @property
    def _credentials(self) -> Path:
        return self.home.postgres / "credentials.json"

    def _passwords(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._credentials.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}

    def _password(self, name: str) -> str | None:
        return self._passwords().get(name)

    def _remember(self, name: str, password: str) -> None:
        self.context.secrets.redactor.add(password)
        files.write(self._credentials, json.dumps({**self._passwords(), name: password}, indent=1))
