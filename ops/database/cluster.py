"""What is done once: the data folder of the embedded server, its roles and databases."""

from __future__ import annotations

import sys
from pathlib import Path

from psycopg import sql as statements

from ops.database.sql import Connection
from ops.hosts import runner
from ops.hosts.account import Account
from ops.kernel import files
from ops.kernel.context import Context


def create(
    context: Context, binaries: Path, data: Path, user: str, password: str, account: Account | None
) -> None:
    """Make the data folder beside its place, then move it there: a killed attempt leaves nothing half-made.

    Args:
        context: Gives the deadline.
        binaries: Folder with initdb.
        data: The folder to make; its parent exists.
        user: Name of the superuser.
        password: Its password.
        account: Who will run the server, None for this user.

    Raises:
        StepFailed: initdb failed.
    """
    work = data.with_name("new")
    files.remove(work)
    owner = account.owner if account else None
    files.make_folder(work, mode=0o700, owner=owner)
    secret = work / "password"
    files.write(secret, password, owner=owner)
    command = [
        str(binaries / "initdb"),
        f"--pgdata={work / 'data'}",
        f"--username={user}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # macOS has no C.UTF-8; both order text by code point.
        f"--locale={'C.UTF-8' if sys.platform == 'linux' else 'C'}",
        "--data-checksums",
    ]
    runner.run(context, command, cwd=work, account=account)
    files.rename(work / "data", data)
    files.remove(work)


def major(data: Path) -> int | None:
    """Return the major version that made the data folder, None when there is none."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def set_role(connection: Connection, name: str, password: str) -> None:
    """Make a role that may log in, or give it a new password; the server only ever sees the verifier."""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    )
    known = connection.execute("select from pg_roles where rolname = %s", [name]).fetchone()
    verb = statements.SQL("alter" if known is not None else "create")
    connection.execute(
        statements.SQL("{} role {} login password {}").format(
            verb, statements.Identifier(name), statements.Literal(verifier.decode())
        )
    )


def make_database(connection: Connection, name: str) -> None:
    """Make a database that only the role of the same name owns and may enter."""
    if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
        database = statements.Identifier(name)
        connection.execute(statements.SQL("create database {0} owner {0}").format(database))
        connection.execute(statements.SQL("revoke all on database {} from public").format(database))
