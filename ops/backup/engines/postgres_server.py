"""The PostgreSQL server of an environment as the place of real restores.

Databases are renamed in one transaction of the server, so there is no moment without a whole database in its place.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

from psycopg import sql as statements

from ops.backup.engines import Place, Unverifiable, libpq, postgres_database
from ops.backup.manifest import Manifest
from ops.database import sql, target
from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError, NotPermitted, OpsError

_MAINTENANCE: Final = "postgres"
_CUT: Final = 0.02
"""Seconds between two looks for connections that are to be cut."""
_PROGRAMS: Final = ("pg_restore", "pg_dump", "psql")


class PostgresServer:
    """The server of an environment, used by its superuser or by the role of `admin_url`, else by the schema's owner.

    Args:
        context: Names the environment.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        environment = context.settings.environment
        if not target.is_external(context):
            self._name = target.name(context)
            self._admin = target.server_of(context).admin_url(_MAINTENANCE)
            return
        owner = target.owner_url(context)
        self._name = libpq.name(owner)
        given = context.secrets.resolve(environment.admin_url) if environment.admin_url else owner
        # The environment's database itself is renamed: nobody may be in it.
        there = libpq.name(given)
        self._admin = libpq.at(given, _MAINTENANCE) if there == self._name else given

    @property
    def database(self) -> str:
        """Name of the environment's database."""
        return self._name

    @property
    def where(self) -> str:
        """The server for a person: host and port, or folder of its socket."""
        return sql.describe(self._admin).rpartition(" on ")[2]

    @property
    def cut(self) -> str:
        """What a swap does to connections, for the person who confirms it."""
        return f"all to {self._name} are cut at the swap; the application connects again"

    def show(self, name: str) -> str:
        """Return the URL of one of its databases for the schema's owner, without a password."""
        return libpq.shown(libpq.at(target.owner_url(self._context), name))

    def command(self, what: Literal["drop", "back"], name: str) -> str:
        """Return the command for a person that drops a database, or puts it back in the environment's place."""
        own, other = libpq.quoted(self._name), libpq.quoted(name)
        if what == "drop":
            words = [f"drop database {other}"]
        else:
            aside = libpq.quoted(f"{name}_undone")
            words = [
                f"alter database {own} rename to {aside}",
                f"alter database {other} rename to {own}",
            ]
        options = " ".join(f"-c {shlex.quote(each)}" for each in words)
        return f"psql {shlex.quote(libpq.shown(self._admin))} {options}"

    def marks(self) -> Mapping[str, str]:
        """Return the comment of every database by its name, empty for none."""
        query = (
            "select datname, coalesce(shobj_description(oid, 'pg_database'), '') from pg_database"
        )
        with sql.connect(self._admin, read_only=True) as connection:
            return {str(name): str(mark) for name, mark in connection.execute(query)}

    def check(self, manifest: Manifest) -> None:
        """Find out before the first change that a restore cannot work.

        Raises:
            NotPermitted: The role may not create databases, or not for the owner of this one.
            ConfigurationError: The server is older than the backup, or lacks a role or an extension.
            DependencyError: No pg_restore here reads the dump.
        """
        self._binaries(manifest)
        inventory = manifest.inventory
        with sql.connect(self._admin, read_only=True) as connection:
            version = connection.info.server_version // 10000
            if version < int(inventory.server_version.split(".")[0]):
                raise ConfigurationError(
                    f"the server is PostgreSQL {version}, backup {manifest.id} is of"
                    f" {inventory.server_version}",
                    hint="restore into a server of that version or above",
                )
            postgres_database.permit(connection, self._name, self._context.settings.name)
            known = {str(each) for (each,) in connection.execute("select rolname from pg_roles")}
            if lacking := [each for each in inventory.roles if each not in known]:
                make = [f"create role {libpq.quoted(each)} nologin;" for each in lacking]
                raise ConfigurationError(
                    f"the server lacks roles that backup {manifest.id} names: {', '.join(lacking)}",
                    hint=f"inv db.init, or {' '.join(make)}",
                )
            query = "select name from pg_available_extensions"
            available = {str(each) for (each,) in connection.execute(query)}
            if absent := sorted(set(inventory.extensions) - available):
                raise ConfigurationError(
                    f"the server lacks extensions of backup {manifest.id}: {', '.join(absent)}",
                    hint="install them on the server",
                )

    def make(self, manifest: Manifest, name: str, mark: str) -> Place:
        """Make an empty database, like the environment's, that nobody else may enter."""
        binaries = self._binaries(manifest)
        with sql.connect(self._admin, read_only=False, autocommit=True) as connection:
            postgres_database.create(connection, name, self._name)
            with connection.transaction():
                database = statements.Identifier(name)
                close = statements.SQL("revoke all on database {} from public")
                connection.execute(close.format(database))
                _mark(connection, name, mark)
        return Place(libpq.at(self._admin, name), binaries)

    def finish(self, manifest: Manifest, name: str, mark: str) -> None:
        """Make a restored database ready: statistics, and owner, rights and settings of the environment's database."""
        database, variables = libpq.client(libpq.at(self._admin, name))
        psql = self._binaries(manifest)["psql"]
        # By psql: it can be ended in the middle, a statement of ours cannot.
        argv = [psql, "--no-psqlrc", "--no-password", "--quiet", "--command=analyze", database]
        runner.run(self._context, argv, environment=variables)
        with sql.connect(self._admin, read_only=False) as connection:
            postgres_database.dress(connection, name, self._name)
            _mark(connection, name, mark)

    def rename(self, name: str, new: str, mark: str) -> None:
        """Rename a database that nobody uses."""
        with sql.connect(self._admin, read_only=False) as connection:
            _rename(connection, name, new)
            _mark(connection, new, mark)

    def swap(self, name: str, old: str, mark: str) -> None:
        """Put a database in the place of the environment's, which is called `old` then; cuts its connections.

        One transaction: PostgreSQL renames databases in it (source: manual of ALTER DATABASE). While the first renaming
        waits, the server lets nobody new in, so cutting those that are in comes to an end.
        """
        comment = self.marks().get(self._name, "")
        with self._cutting(), sql.connect(self._admin, read_only=False) as connection:
            _rename(connection, self._name, old)
            _rename(connection, name, self._name)
            _mark(connection, old, mark)
            _mark(connection, self._name, comment)

    def drop(self, name: str) -> None:
        """Drop a database, also one that is in use; one that is gone is no error."""
        with sql.connect(self._admin, read_only=False, autocommit=True) as connection:
            drop = statements.SQL("drop database if exists {} with (force)")
            connection.execute(drop.format(statements.Identifier(name)))

    def _binaries(self, manifest: Manifest) -> Mapping[str, str]:
        try:
            found = libpq.program(self._context, "pg_restore", libpq.dump_major(manifest))
        except Unverifiable as error:
            raise DependencyError(error.what, why=error.why, hint=error.hint) from error
        return {name: str(found.with_name(name)) for name in _PROGRAMS}

    @contextlib.contextmanager
    def _cutting(self) -> Iterator[None]:
        """Cut all connections to the environment's database until the block ends."""
        done = threading.Event()
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"

        def work() -> None:
            with sql.connect(self._admin, read_only=False, autocommit=True) as connection:
                while not done.wait(_CUT):
                    connection.execute(cut, [self._name])

        with ThreadPoolExecutor(1) as pool:
            cutting = pool.submit(work)
            try:
                yield
            except OpsError as error:
                done.set()
                # What kept the connections alive is the reason why the renaming was refused.
                if isinstance(why := cutting.exception(), NotPermitted):
                    why.hint = "grant pg_signal_backend to the role of admin_url"
                    raise why from error
                raise
            finally:
                done.set()


def _rename(connection: sql.Connection, name: str, new: str) -> None:
    rename = statements.SQL("alter database {} rename to {}")
    connection.execute(rename.format(statements.Identifier(name), statements.Identifier(new)))


def _mark(connection: sql.Connection, name: str, mark: str) -> None:
    text = statements.Literal(mark) if mark else statements.SQL("null")
    comment = statements.SQL("comment on database {} is {}")
    connection.execute(comment.format(statements.Identifier(name), text))
