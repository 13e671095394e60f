"""The MySQL or MariaDB server of an environment as the place of real restores; see `ops.database.mysql_move`.

Events of a restored database are there when it is whole: where the event scheduler is on they begin to run beside the
database that serves.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final, Literal

from ops.backup.engines import Place
from ops.backup.engines.mysql_client import CLIENT, client
from ops.backup.manifest import Manifest
from ops.database import mysql, mysql_move, mysql_programs, mysql_url, target
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted

_MAY_CREATE: Final = (
    "select 1 from information_schema.user_privileges where privilege_type = 'CREATE'"
    " union all select 1 from information_schema.schema_privileges"
    " where privilege_type = 'CREATE' and %s like table_schema"
    " union all select 1 from information_schema.applicable_roles limit 1"
)


class MysqlServer:
    """The server of an environment, used by the role of `admin_url`, else by the schema's owner.

    Args:
        context: Names the environment.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._owner = target.owner_url(context)
        admin = context.settings.environment.admin_url
        self._name = mysql_url.parse(self._owner).database
        given = context.secrets.resolve(admin) if admin else self._owner
        self._admin = mysql_url.with_database(given, self._name)

    @property
    def database(self) -> str:
        """Name of the environment's database."""
        return self._name

    @property
    def where(self) -> str:
        """The server for a person: host and port, or its socket."""
        return mysql_url.parse(self._admin).place

    @property
    def cut(self) -> str:
        """What a swap does to connections, for the person who confirms it."""
        return "they stay: the next statement of each sees the restored tables"

    def show(self, name: str) -> str:
        """Return the URL of one of its databases for the schema's owner, without a password."""
        return mysql_url.without_password(mysql_url.with_database(self._owner, name))

    def command(self, what: Literal["drop", "back"], name: str) -> str:
        """Return the command for a person that drops a database; going back is a restore of the safety backup."""
        if what == "back":
            return "inv backup.restore --replace with the id of the safety backup"
        parts = mysql_url.parse(self._admin)
        options = [each for each in parts.arguments if each != "--no-defaults"]
        statement = f"--execute=drop database {mysql.quoted(name)}"
        return shlex.join(["mariadb", *options, "--password", statement])

    def marks(self) -> Mapping[str, str]:
        """Return the mark of every database of the server by its name, empty for none."""
        return mysql_move.marks(self._admin)

    def check(self, manifest: Manifest) -> None:
        """Find out before the first change that a restore cannot work.

        Raises:
            ConfigurationError: The server is older than the backup, or another vendor's.
            NotPermitted: The role may not create databases.
            DependencyError: No client here restores into it.
        """
        source = mysql_programs.version(manifest.inventory.server_version)
        with mysql.connect(self._admin, read_only=True) as connection:
            server = mysql_programs.version(mysql.server_version(connection))
            if not server.serves(source):
                raise ConfigurationError(
                    f"the server is {server.title}, backup {manifest.id} is of {source.title}",
                    hint="restore into a server of that version or above",
                )
            if not mysql.rows(connection, _MAY_CREATE, f"{self._name}_restoring_000000"):
                ((user,),) = mysql.rows(connection, "select current_user()")
                name = self._context.settings.name
                raise NotPermitted(
                    f"user {user} may not create databases",
                    hint=f"set admin_url in [environments.{name}] to a user that may",
                )
        client(self._admin)

    def make(self, manifest: Manifest, name: str, mark: str) -> Place:
        """Make an empty database with character set and collation of the environment's."""
        url = mysql.make_database(self._admin, name)
        mysql_move.mark(self._admin, name, mark)
        return Place(url, {CLIENT: client(self._admin)})

    def finish(self, manifest: Manifest, name: str, mark: str) -> None:
        """Mark a restored database as ready: its statistics are made while it is filled, its rights go by its name."""
        mysql_move.mark(self._admin, name, mark)

    def rename(self, name: str, new: str, mark: str) -> None:
        """Rename a database that nobody uses."""
        mysql_move.move(self._admin, [(name, new)], mark)

    def swap(self, name: str, old: str, mark: str) -> None:
        """Put a database in the place of the environment's, whose content is in `old` then.

        Connections stay: the next statement of each sees the other tables. One that is in a transaction is waited for.
        """
        mysql_move.move(self._admin, [(self._name, old), (name, self._name)], mark)

    def drop(self, name: str) -> None:
        """Drop a database; one that is gone is no error."""
        mysql.drop_database(self._admin, name)
