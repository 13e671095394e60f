"""A PostgreSQL server for tests, on a private socket; root runs it as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg

from tests.conftest import require

_NUMBERS = count(1)


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Args:
        programs: Folder of initdb and pg_ctl.
        folder: Data folder, log and socket; removed at the end.
        user: User that runs the server, None for the one that runs the tests.
    """

    programs: Path
    folder: Path
    user: str | None

    @classmethod
    def begin(cls) -> Self:
        """Make a server and start it; a machine without one fails in CI and skips elsewhere."""
        pg_ctl = require("pg_ctl", "postgresql", "/usr/lib/postgresql/*/bin")
        # Outside root's home, and short: the path of a socket may have about 100 characters.
        folder = Path(tempfile.mkdtemp(prefix="invops-pg-"))
        server = cls(pg_ctl.resolve().parent, folder, "nobody" if os.geteuid() == 0 else None)
        if server.user:
            shutil.chown(folder, server.user)
        options = ("--username=owner", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        server._run("initdb", *options)
        server.start()
        return server

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; it ends all connections."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    def create(self, template: str = "template1") -> str:
        """Create a database and return its name."""
        name = f"test{next(_NUMBERS)}"
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return name

    def url(self, name: str, user: str = "owner") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{quote(name, safe='')}?host={self.folder}"

    def connect(self, name: str, user: str = "owner") -> psycopg.Connection[Any]:
        """Connect; each statement is its own transaction."""
        return psycopg.connect(self.url(name, user), autocommit=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), f"--pgdata={self.folder}/data", *arguments]
        # To a file: the server would hold a pipe open.
        with open(self.folder.with_suffix(".out"), "w+b") as output:
            result = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                check=False,
            )
            output.seek(0)
            assert result.returncode == 0, output.read().decode()

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
        self.stop("immediate")
        shutil.rmtree(self.folder)
        self.folder.with_suffix(".out").unlink()
