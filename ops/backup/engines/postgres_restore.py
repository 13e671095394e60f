"""Dumps of PostgreSQL brought back by pg_restore.

Into a scratch server everything is restored as it was, owners, rights and policies included: the roles that the dump
names are made there first, unable to log in. Tablespaces and subscriptions are left out, they belong to a machine.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psycopg import sql as statements
from pydantic import SecretStr

from ops.backup import measures
from ops.backup.engines import Differs, Place, Server, Unverifiable, libpq, postgres_inventory
from ops.backup.engines.postgres_server import PostgresServer
from ops.backup.manifest import Inventory, Manifest
from ops.backup.storage import Writer
from ops.database import scratch, sql
from ops.database.schema import definitions
from ops.hosts import pipes, runner, tools
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError, Interrupted, StepFailed, TimeLimitReached

_BARE: Final = ("--no-tablespaces", "--no-subscriptions")
_ERROR: Final = re.compile(r"^pg_\w+: error: (.*)$", re.MULTILINE)
_JOBS: Final = 8
"""Processes that restore into a scratch server, at most."""
_SHOWN: Final = 5
"""Differences that a message names."""
# What pg_restore says when the machine failed, not the archive.
_MACHINE: Final = re.compile(
    r"No space left on device|server closed the connection|terminating connection|connection to server"
    r"|out of memory|out of shared memory|could not access file|is not supported (in|by) this build"
    r'|collation "pg_catalog\.[^\n]* does not exist'
)


class PostgresRestorer:
    """Brings dumps of PostgreSQL back."""

    @contextlib.contextmanager
    def decode(self, context: Context, manifest: Manifest) -> Iterator[Writer]:
        """Take a whole plain dump and read it to its end without a server."""
        program = libpq.program(context, "pg_restore", libpq.dump_major(manifest))
        argv = [str(program), "--file=/dev/null"]
        with _said_plainly(), pipes.writing(context, argv, reads=True) as sink:
            yield sink

    @contextlib.contextmanager
    def scratch(self, context: Context, manifest: Manifest) -> Iterator[Place]:
        """Give an empty database on a server of our own.

        Raises:
            Unverifiable: Every server here is too old, or lacks an extension.
        """
        major = max(
            libpq.dump_major(manifest), int(manifest.inventory.server_version.split(".")[0])
        )
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(scratch.server(context, major=major))
            except DependencyError as error:
                raise Unverifiable(error.what, why=error.why, hint=error.hint) from error
            url = server.make("restored")
            _prepare(url, manifest.inventory, server.major)
            programs = ("pg_restore", "pg_dump", "psql")
            binaries = {name: str(server.binaries / name) for name in programs}
            yield Place(url, binaries, scratch=server.socket)

    @contextlib.contextmanager
    def restore(
        self, context: Context, manifest: Manifest, place: Place, *, full: bool
    ) -> Iterator[Writer]:
        """Take a whole plain dump into an empty database; without `full` no indexes and constraints."""
        database, environment = libpq.client(place.url)
        argv = [
            place.binaries["pg_restore"],
            "--exit-on-error",
            "--no-password",
            *(() if full else ("--section=pre-data", "--section=data")),
            database,
        ]
        if place.scratch is None:
            with _said_plainly(), pipes.writing(context, argv, environment=environment) as sink:
                yield sink
            return
        # From a file several processes restore at once. It lies beside the server's data, and goes when they go.
        dump = place.scratch / "dump"
        with files.stream(dump) as opened:
            yield opened
        jobs = min(os.cpu_count() or 1, _JOBS)
        context.progress(f"restoring {measures.size(manifest.plain_size)} in {jobs} processes")
        with _said_plainly():
            argv += [*_BARE, f"--jobs={jobs}", str(dump)]
            runner.run(context, argv, environment=environment)
        files.remove(dump)

    @contextlib.contextmanager
    def compare(self, context: Context, manifest: Manifest, place: Place) -> Iterator[Writer]:
        """Take a whole plain dump and compare its schema with the database that it was restored into.

        Raises:
            Differs: At the end of the block, with the first differences.
        """
        with files.scratch("invops-schema-") as folder:
            said, found = folder / "archive.sql", folder / "restored.sql"
            argv = [place.binaries["pg_restore"], "--schema-only", *_BARE, f"--file={said}"]
            with _said_plainly(), pipes.writing(context, argv, reads=True) as sink:
                yield sink
            version = int(tools.version(Path(place.binaries["pg_dump"])).split(".")[0])
            if version != libpq.dump_major(manifest):
                # The same schema reads differently in another version: that is no difference of the schema.
                context.note(f"schema not compared: {manifest.tool}, restored by version {version}")
                return
            database, environment = libpq.client(place.url)
            argv = [place.binaries["pg_dump"], "--schema-only", *_BARE, f"--file={found}", database]
            runner.run(context, argv, environment=environment, reads=True)
            _same_schema(said.read_text("utf-8"), found.read_text("utf-8"))

    def inventory(self, context: Context, url: SecretStr) -> Inventory:
        """Return what a database holds now, rows counted."""
        with sql.connect(url, read_only=True) as connection:
            return postgres_inventory.read(connection)

    def server(self, context: Context) -> Server:
        """Return the environment's own server."""
        return PostgresServer(context)


def _prepare(url: SecretStr, inventory: Inventory, major: int) -> None:
    """Make sure that a scratch server can take a dump, and make the roles that it names."""
    with sql.connect(url, read_only=False) as connection:
        known = "select name from pg_available_extensions"
        lacking = set(inventory.extensions) - {str(name) for (name,) in connection.execute(known)}
        if lacking:
            raise Unverifiable(
                f"extension {', '.join(sorted(lacking))} is not available in PostgreSQL {major} here",
                hint="install it on this machine, or verify where it is installed",
            )
        there = {str(name) for (name,) in connection.execute("select rolname from pg_roles")}
        for role in inventory.roles:
            if role not in there:
                # As powerful as it may have been: what it owns, such as views, may need it.
                make = statements.SQL("create role {} superuser nologin")
                connection.execute(make.format(statements.Identifier(role)))


def _same_schema(said: str, found: str) -> None:
    one, other = definitions.objects(said), definitions.objects(found)
    wrong = sorted(
        str(key)
        for key in {*one, *other}
        # pg_restore counts the filling of a materialised view as schema, pg_dump does not.
        if one.get(key) != other.get(key) and key.kind != "materialized view data"
    )
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise Differs(f"the restored schema differs: {', '.join(wrong[:_SHOWN])}{more}")


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Turn pg_restore's words into one line, and a failure of this machine into one that is no verdict."""
    try:
        yield
    except (TimeLimitReached, Interrupted):
        raise
    except StepFailed as error:
        found = _ERROR.search(error.why)
        why = found.group(1) if found else (error.why.splitlines() or [""])[-1]
        if error.what.startswith("ended by") or _MACHINE.search(error.why):
            raise Unverifiable("pg_restore could not finish here", why=why or error.what) from error
        raise StepFailed("pg_restore refuses the dump", why=why) from error
