"""A MariaDB server for tests, on a private socket; root runs it as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymysql
from pydantic import SecretStr

from tests.conftest import require
from tests.support.local import eventually
from tests.support.places import free_port

_NUMBERS = count(1)
PASSWORD = "owner-sentinel-pw"
# Nothing has to survive a crash: the system tables take 0.4 s instead of 1.7 s.
_FAST = (
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=32M",
    "--debug-no-sync",
)


@dataclass
class Mariadb:
    """A running server.

    Args:
        program: mariadbd.
        folder: Data folder, log and socket; removed at the end.
        port: TCP port on 127.0.0.1, 0 for the socket only.
        user: User that runs the server, None for the one that runs the tests.
    """

    program: Path
    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    def begin(cls, *, tcp: bool = False) -> Self:
        """Make a server and start it; a machine without one fails in CI and skips elsewhere."""
        program = require("mariadbd", "mariadb-server", "/usr/sbin")
        installer = require("mariadb-install-db", "mariadb-server")
        # Outside root's home, and short: the path of a socket may have about 100 characters.
        folder = Path(tempfile.mkdtemp(prefix="invops-my-"))
        port = free_port() if tcp else 0
        server = cls(program, folder, port, "nobody" if os.geteuid() == 0 else None)
        if server.user:
            shutil.chown(folder, server.user)
        options = ("--auth-root-authentication-method=normal", "--skip-test-db")
        with open(folder / "install", "w+b") as output:
            made = server._start([str(installer), *server._common(), *options], output)
            assert made.wait(60) == 0, (folder / "install").read_text()
        server.start()
        with server.connect("", user="root", password="") as connection:
            make = "create user if not exists owner identified by %s"
            connection.cursor().execute(make, [PASSWORD])
            connection.cursor().execute("grant all on *.* to owner with grant option")
        return server

    def start(self) -> None:
        """Start the server and wait until it answers."""
        network = (
            [f"--port={self.port}", "--bind-address=127.0.0.1"]
            if self.port
            else ["--skip-networking"]
        )
        argv = [str(self.program), *self._common(), f"--socket={self.socket}", *network]
        argv += [
            f"--pid-file={self.folder}/pid",
            "--skip-name-resolve",
            "--max-allowed-packet=256M",
        ]
        with open(self.folder / "log", "ab") as output:
            self.process = self._start(argv, output)
        assert eventually(self.answers, 30), (self.folder / "log").read_text()

    def stop(self) -> None:
        """Kill the server."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink()

    @property
    def socket(self) -> Path:
        """Its socket."""
        return self.folder / "s.sock"

    def answers(self) -> bool:
        """Say whether it takes connections."""
        if not self.socket.exists():
            return False
        with contextlib.suppress(pymysql.Error):
            self.connect("", user="root", password="").close()
            return True
        return False

    def create(self, name: str = "") -> str:
        """Create a database and return its name."""
        made = name or f"test{next(_NUMBERS)}"
        with self.connect("") as connection:
            connection.cursor().execute(f"create database `{made}` character set utf8mb4")
        return made

    def url(self, name: str, user: str = "owner", password: str = PASSWORD) -> SecretStr:
        """Return the URL of a database on the socket."""
        return SecretStr(f"mysql://{user}:{password}@localhost/{name}?unix_socket={self.socket}")

    def connect(
        self, name: str, user: str = "owner", password: str = PASSWORD
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        """Connect; each statement is its own transaction."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=user,
            password=password,
            database=name or None,
            autocommit=True,
            charset="utf8mb4",
        )

    def ask(self, name: str, statement: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def run(self, name: str, script: str) -> None:
        """Run a script of several statements, with DELIMITER, by the server's own client."""
        client = require("mariadb", "mariadb-client")
        argv = [str(client), "--no-defaults", f"--socket={self.socket}", "--user=root", name]
        done = subprocess.run(
            [*argv, "--default-character-set=utf8mb4"],
            input=script.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()

    def _common(self) -> list[str]:
        return ["--no-defaults", f"--datadir={self.folder}/data", *_FAST]

    def _start(self, argv: Sequence[str], output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": f"{os.defpath}:/usr/sbin", "LC_ALL": "C"},
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )

    def __enter__(self) -> Self:
        """Use as a context: the server stops at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)
