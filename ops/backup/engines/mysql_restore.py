"""Dumps of MySQL and MariaDB brought back: read without a server, on a scratch server, into a database."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from ops.backup.engines import Differs, Place, Server, Unverifiable
from ops.backup.engines.mysql import MysqlDumper, command
from ops.backup.engines.mysql_client import CLIENT, client
from ops.backup.engines.mysql_schema import Definitions
from ops.backup.engines.mysql_server import MysqlServer
from ops.backup.engines.mysql_text import Text
from ops.backup.manifest import Inventory, Manifest, Table
from ops.backup.storage import Writer
from ops.database import mysql, mysql_move, mysql_programs, mysql_url, scratch_mysql
from ops.hosts import pipes
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError, Interrupted, StepFailed, TimeLimitReached

_TABLES: Final = (
    "select table_name, table_type from information_schema.tables where table_schema = database()"  # nosec B608
    " and table_type in ('BASE TABLE', 'SYSTEM VERSIONED')"
    f" and table_name <> '{mysql_move.OWN}' order by table_name"
)
_ANY: Final = (
    "select 1 from information_schema.tables where table_schema = database()"  # nosec B608
    f" and table_name <> '{mysql_move.OWN}' limit 1"
)
_SHOWN: Final = 5
"""Differences that a message names."""
_ERROR: Final = re.compile(r"^ERROR (\d+ .*)$", re.MULTILINE)
# What the client says when the machine failed, not the dump.
_MACHINE: Final = re.compile(r"^(2002|2006|2013|1021|1037|1041|1114|3) |No space left on device")


class _Checked:
    """Reads a dump and keeps nothing."""

    def __init__(self) -> None:
        self.text = Text()

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        self.text.feed(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back here."""


class _Both(_Checked):
    """Reads a dump on its way into a client.

    For code that was made under another default character set the dump alters that of the database for a moment, by
    the name of the source, which may be on this very server: the name is taken out, so it means the one restored into.

    Args:
        sink: The client's input.
        source: Name of the database that was dumped.
    """

    def __init__(self, sink: pipes.Input, source: str) -> None:
        super().__init__()
        self._sink = sink
        self._named = f"\nALTER DATABASE {mysql.quoted(source)} CHARACTER SET ".encode()
        self._held = b""

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        self.text.feed(data)
        text = (self._held + data).replace(self._named, b"\nALTER DATABASE CHARACTER SET ")
        # A line that may turn out to be such a statement waits for the rest of it.
        line = text[max(0, text.rfind(b"\n")) :]
        self._held = line if self._named.startswith(line) else b""
        self._sink.write(text[: len(text) - len(self._held)])
        return len(data)

    def end(self) -> None:
        """Write what waits."""
        self._sink.write(self._held)


class MysqlRestorer:
    """Brings dumps of MySQL and MariaDB back."""

    @contextlib.contextmanager
    def decode(self, context: Context, manifest: Manifest) -> Iterator[Writer]:
        """Read a whole plain dump without a server: it is whole, and holds the tables and rows of the manifest.

        Raises:
            StepFailed: It is cut, or holds something else than the manifest says.
        """
        reader = _Checked()
        yield reader
        reader.text.check(f"the dump {manifest.id}")
        expected = {each.name: each.rows for each in manifest.inventory.tables}
        found = reader.text.tables
        if found != expected:
            names = sorted(
                name for name in {*found, *expected} if found.get(name) != expected.get(name)
            )
            first = names[0]
            raise StepFailed(
                f"the dump {manifest.id} does not hold what its manifest says",
                why=f"{len(names)} tables differ, {first} has {found.get(first, 'no')} rows"
                f" in place of {expected.get(first, 'none')}",
            )

    @contextlib.contextmanager
    def scratch(self, context: Context, manifest: Manifest) -> Iterator[Place]:
        """Give an empty database on a MariaDB server of our own.

        Raises:
            Unverifiable: The dump is of MySQL, or no server here is new enough.
        """
        source = mysql_programs.version(manifest.inventory.server_version)
        if source.vendor != "MariaDB":
            raise Unverifiable(
                f"the dump is of {source.title}, scratch servers are MariaDB only",
                hint='prove it without a server: proof = "decode"',
            )
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(scratch_mysql.server(context, least=source))
                program = client(server.url())
            except DependencyError as error:
                raise Unverifiable(error.what, why=error.why, hint=error.hint) from error
            yield Place(
                server.make(manifest.database), {CLIENT: program}, scratch=server.socket.parent
            )

    @contextlib.contextmanager
    def restore(
        self, context: Context, manifest: Manifest, place: Place, *, full: bool
    ) -> Iterator[Writer]:
        """Take a whole plain dump into an empty database.

        With and without `full` it is the same: the dump makes each table with its indexes, and taking them out
        of its text would be a dumper of our own.

        Raises:
            StepFailed: The database is not empty, the dump is cut, or the server refused a statement.
        """
        parts = mysql_url.parse(place.url)
        with mysql.connect(place.url, read_only=True) as connection:
            # The dump drops tables of the same name: never into a database that holds anything.
            if mysql.rows(connection, _ANY):
                raise StepFailed(
                    f"{mysql.describe(place.url)} is not empty", hint="restore into a new database"
                )
        argv = [
            place.binaries[CLIENT],
            *parts.arguments,
            # No command of the client but DELIMITER: a dump must not be able to run a shell.
            "--binary-mode",
            "--batch",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            f"--database={parts.database}",
        ]
        with (
            _said_plainly(),
            pipes.writing(
                context, argv, environment=parts.environment, reads=bool(place.scratch)
            ) as sink,
        ):
            checked = _Both(sink, manifest.database)
            yield checked
            checked.end()
        checked.text.check(f"the dump {manifest.id}")

    @contextlib.contextmanager
    def compare(self, context: Context, manifest: Manifest, place: Place) -> Iterator[Writer]:
        """Take a whole plain dump and compare its definitions with the database that it was restored into.

        Raises:
            Differs: At the end of the block, with the first differences.
        """
        said, found = Definitions(), Definitions()
        yield said
        tool = MysqlDumper().tool(context, place.url)
        with mysql.connect(place.url, read_only=True) as connection:
            server = mysql_programs.version(mysql.server_version(connection))
        source = mysql_programs.version(manifest.inventory.server_version)
        if tool.title != manifest.tool or server.major != source.major:
            # The same definition reads differently in another version: that is no difference.
            context.note(
                f"definitions not compared: {manifest.tool}, {source.title} restored by {tool.title}, {server.title}"
            )
            return
        argv = command(tool, place.url, server, "--no-data")
        environment = mysql_url.parse(place.url).environment
        with pipes.reading(context, argv, environment=environment) as output:
            while data := output.read():
                found.write(data)
        if wrong := said.differences(found):
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise Differs(f"restored differently: {', '.join(wrong[:_SHOWN])}{more}")

    def inventory(self, context: Context, url: SecretStr) -> Inventory:
        """Return what a database holds now, its rows counted in one snapshot."""
        tables, database = [], mysql_url.parse(url).database
        with mysql.connect(url, read_only=True) as connection:
            mysql.rows(connection, "start transaction with consistent snapshot, read only")
            names = mysql.rows(connection, _TABLES)
            for number, (name, kind) in enumerate(names):
                context.deadline.check("counting rows")
                context.progress("counting rows", number, len(names))
                past = " for system_time all" if kind == "SYSTEM VERSIONED" else ""
                statement = f"select count(*) from {mysql.quoted(str(name))}{past}"  # nosec B608
                ((rows,),) = mysql.rows(connection, statement)
                tables.append(Table(database, str(name), int(rows)))
            system, version = mysql.identity(connection), mysql.server_version(connection)
        # By code point, as the dump's: the server's own order depends on its collation.
        return Inventory(system, version, tuple(sorted(tables, key=lambda each: each.name)))

    def server(self, context: Context) -> Server:
        """Return the environment's own server."""
        return MysqlServer(context)


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Turn the client's words into one line, and a failure of this machine into one that is no verdict."""
    try:
        yield
    except (TimeLimitReached, Interrupted):
        raise
    except StepFailed as error:
        why = next(iter(_ERROR.findall(error.why)), "") or error.why[-200:]
        if error.what.startswith("ended by") or _MACHINE.search(why):
            raise Unverifiable(
                "the dump could not be restored here", why=why or error.what
            ) from error
        raise StepFailed("the server refuses the dump", why=why) from error
