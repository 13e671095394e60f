"""Dumps of MySQL and MariaDB by mysqldump or mariadb-dump.

The user needs SELECT, SHOW VIEW, TRIGGER and EVENT on the database, and may see the routines. No lock is taken: one
transaction with a consistent snapshot for all tables that have transactions. Rows of the others (MyISAM, Aria) may
be newer than that snapshot; that is said, and the rows that the manifest counts are those that the dump holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ops.backup.engines import Dump, Tool
from ops.backup.engines.mysql_text import Text
from ops.backup.manifest import Inventory, Table
from ops.database import mysql, mysql_move, mysql_programs, mysql_url
from ops.database.mysql_programs import Version
from ops.hosts import pipes
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError

_NAMES: Final = {"MariaDB": ("mariadb-dump", "mysqldump"), "MySQL": ("mysqldump",)}
_PACKAGES: Final = {"MariaDB": "mariadb-client", "MySQL": "mysql-client"}
_OPTIONS: Final = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--no-tablespaces",
    "--tz-utc",
    "--max-allowed-packet=1G",
)
# Statistics need a privilege and are made anew; the ids of transactions belong to the server, not to the data.
_VENDOR_OPTIONS: Final = {
    "MariaDB": (),
    "MySQL": ("--column-statistics=0", "--set-gtid-purged=OFF"),
}
_HISTORY: Final = (10, 11)
"""MariaDB dumps the past rows of versioned tables from here on (source: MariaDB, mariadb-dump --dump-history)."""
_FOREIGN_ENGINES: Final = (
    "select table_name from information_schema.tables where table_schema = database()"
    " and table_type like '%BASE TABLE' and engine not in ('InnoDB', 'RocksDB', 'ndbcluster')"
    " order by table_name"
)
_VERSIONED: Final = (
    "select count(*) from information_schema.tables"
    " where table_schema = database() and table_type = 'SYSTEM VERSIONED'"
)


class MysqlDump:
    """A dump that is being made.

    Args:
        output: What the program writes.
        database: Name of the database.
        system: Identity of the database.
        version: Of its server.
    """

    def __init__(self, output: pipes.Output, database: str, system: str, version: str) -> None:
        self.text = Text()
        self._output = output
        self._database = database
        self._system = system
        self._version = version

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none at the end."""
        data = self._output.read(size if size > 0 else pipes.CHUNK)
        self.text.feed(data)
        return data

    def inventory(self) -> Inventory:
        """Return what the dump holds."""
        found = sorted(self.text.tables.items())
        tables = tuple(Table(self._database, name, rows) for name, rows in found)
        return Inventory(self._system, self._version, tables)


class MysqlDumper:
    """Makes dumps of MySQL and MariaDB."""

    suffix: str = ".sql"

    def tool(self, context: Context, url: SecretStr) -> Tool:
        """Return the program of the server's vendor, of at least its major version.

        Raises:
            DependencyError: There is none; names the package.
            ConnectionFailed: The server does not answer.
        """
        with mysql.connect(url, read_only=True) as connection:
            server = mysql_programs.version(mysql.server_version(connection))
        there = list(mysql_programs.programs(_NAMES[server.vendor]))
        for each in there:
            if each.version.serves(server):
                number = ".".join(map(str, each.version.number))
                return Tool(str(each.path), f"{each.path.name} {number} ({each.version.vendor})")
        raise DependencyError(
            f"no program here can dump {server.title}",
            why=_why(there, _NAMES[server.vendor]),
            hint=f"apt-get install -y {_PACKAGES[server.vendor]}",
        )

    def size(self, context: Context, url: SecretStr) -> int:
        """Return about how many bytes the dump will have: what the data take in the server."""
        statement = "select sum(data_length) from information_schema.tables where table_schema ="
        with mysql.connect(url, read_only=True) as connection:
            ((size,),) = mysql.rows(connection, f"{statement} database()")
        return int(size or 0)

    def empty(self, context: Context, url: SecretStr) -> bool:
        """Say whether the database has no tables."""
        statement = "select count(*) from information_schema.tables where table_schema = database()"
        with mysql.connect(url, read_only=True) as connection:
            ((tables,),) = mysql.rows(connection, statement)
        return not tables

    def dump(self, context: Context, url: SecretStr, tool: Tool) -> AbstractContextManager[Dump]:
        """Start a dump of one consistent snapshot.

        Raises:
            StepFailed: The program failed, or what it wrote is cut.
        """
        return _dump(context, url, tool)


def command(tool: Tool, url: SecretStr, server: Version, *options: str) -> list[str]:
    """Return the command that dumps a database; the password comes by its environment."""
    parts = mysql_url.parse(url)
    # A name, never an option; without --databases the dump names no database, so it can go into another one.
    name = ["--", parts.database]
    vendors = _VENDOR_OPTIONS[server.vendor]
    own = f"--ignore-table={parts.database}.{mysql_move.OWN}"
    return [tool.path, *parts.arguments, *_OPTIONS, *vendors, own, *options, *name]


@contextlib.contextmanager
def _dump(context: Context, url: SecretStr, tool: Tool) -> Iterator[MysqlDump]:
    parts = mysql_url.parse(url)
    with mysql.connect(url, read_only=True) as connection:
        system, version = mysql.identity(connection), mysql.server_version(connection)
        plain = [str(name) for (name,) in mysql.rows(connection, _FOREIGN_ENGINES)]
        ((versioned,),) = mysql.rows(connection, _VERSIONED)
    if plain:
        context.note(
            f"{len(plain)} tables have no transactions, their rows may be newer than the snapshot:"
            f" {', '.join(plain[:5])}{' ...' if len(plain) > 5 else ''}"
        )
    server = mysql_programs.version(version)
    argv = command(tool, url, server, *_history(context, server, int(versioned)))
    with pipes.reading(context, argv, environment=parts.environment) as output:
        made = MysqlDump(output, parts.database, system, version)
        yield made
    made.text.check(f"the dump of {Path(tool.path).name}")


def _history(context: Context, server: Version, versioned: int) -> list[str]:
    if not versioned:
        return []
    if server.major < _HISTORY:
        context.note(f"{server.title} dumps only the current rows of {versioned} versioned tables")
        return []
    return ["--dump-history"]


def _why(there: list[mysql_programs.Program], names: tuple[str, ...]) -> str:
    if not there:
        return f"{' or '.join(names)} is not installed"
    found = {f"{each.path} is of {each.version.title}" for each in there}
    return ", ".join(sorted(found))
