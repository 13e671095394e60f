"""A PostgreSQL server for tests, on a private socket; root runs it as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg


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
    def begin(cls, programs: Path) -> Self:
        """Make a server and start it.

        Args:
            programs: Folder of initdb and pg_ctl.
        """
        folder = Path(tempfile.mkdtemp(prefix="shop-pg-"))
        server = cls(programs, folder, "nobody" if os.geteuid() == 0 else None)
        if server.user:
            shutil.chown(folder, server.user)
        options = ("--username=shop", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        server._run("initdb", *options)
        server.start()
        return server

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options={options}")

    def stop(self) -> None:
        """Stop the server; it ends all connections."""
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database and return its URL."""
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://shop@/{name}?host={self.folder}"

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """Connect; each statement is its own transaction."""
        return psycopg.connect(self.url(name), autocommit=True)

    def _run(self, program: str, *arguments: str) -> None:
        command: list[str | Path] = [
            self.programs / program,
            f"--pgdata={self.folder}/data",
            *arguments,
        ]
        # To a file: the server would hold a pipe open.
        with open(self.folder.with_suffix(".out"), "w+b") as output:
            group = pwd.getpwnam(self.user).pw_gid if self.user else None
            result = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=self.user,
                group=group,
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
        self.stop()
        shutil.rmtree(self.folder)
        self.folder.with_suffix(".out").unlink()
