"""A database on a scratch server, as the real one was before its first migration.

That is what migrations do not bring: the server's roles (without passwords), what `db.init` and `db.extensions` do, and
the search path. The owner of the real schema is the owner here, so that owners and grants compare as well; it may do
everything, because the administrator who helps on the real server is not here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from psycopg import conninfo
from psycopg import sql as statements
from pydantic import SecretStr

from ops.database import (
    extensions,
    extensions_changes,
    extensions_observe,
    init_changes,
    init_observe,
    roles,
    sql,
    target,
)
from ops.database.schema.look import Look
from ops.database.schema.replay import missing_extension
from ops.database.scratch import Scratch
from ops.database.scratch_cluster import SUPERUSER
from ops.kernel.context import Context

_CREATES_ROLE: Final = re.compile(r'\bcreate\s+(?:role|user|group)\s+"?([\w$-]+)', re.IGNORECASE)


def database(context: Context, server: Scratch, live: Look, texts: Sequence[str]) -> SecretStr:
    """Make the database and return its URL for the owner.

    Args:
        context: Surroundings.
        server: A scratch server.
        live: What the real database says of itself.
        texts: Migrations; a role that they create is left to them.

    Raises:
        DependencyError: This machine lacks an extension that ops.toml lists.
    """
    own = {name for text in texts for name in _CREATES_ROLE.findall(text)}
    name = f"{live.database}_scratch" if live.database == SUPERUSER else live.database
    with sql.connect(server.url(), read_only=False, autocommit=True) as connection:
        _make_roles(connection, live, own)
    server.make(name)
    with sql.connect(server.url(name), read_only=False) as connection:
        owner = statements.Identifier(live.user)
        made = statements.Identifier(name)
        connection.execute(statements.SQL("alter database {} owner to {}").format(made, owner))
        path = statements.SQL(", ").join(map(statements.Identifier, live.search_path))
        if live.search_path:
            command = statements.SQL("alter database {} set search_path to {}")
            connection.execute(command.format(made, path))
    url = SecretStr(
        f"postgresql://{quote(live.user, safe='')}@/{quote(name, safe='')}?host={quote(str(server.socket))}"
    )
    _initialise(context, url, live, name)
    _extend(context, url, live)
    return url


def copy(server: Scratch, url: SecretStr, name: str) -> SecretStr:
    """Make a copy of a database that nobody uses now, and return its URL for the same role."""
    source = str(conninfo.conninfo_to_dict(url.get_secret_value())["dbname"])
    with sql.connect(server.url(), read_only=False, autocommit=True) as connection:
        command = statements.SQL("create database {} template {}")
        connection.execute(
            command.format(statements.Identifier(name), statements.Identifier(source))
        )
    return SecretStr(
        url.get_secret_value().replace(f"@/{quote(source, safe='')}?", f"@/{quote(name, safe='')}?")
    )


def _make_roles(connection: sql.Connection, live: Look, own: Collection[str]) -> None:
    for name in dict.fromkeys((*live.roles, live.user)):
        if name in own and name != live.user:
            continue
        role = statements.Identifier(name)
        if name != SUPERUSER:
            connection.execute(statements.SQL("create role {}").format(role))
    owner = statements.Identifier(live.user)
    connection.execute(statements.SQL("alter role {} login superuser").format(owner))


def _initialise(context: Context, url: SecretStr, live: Look, database: str) -> None:
    """Do what `db.init` did, where the real database says that it did."""
    settings = context.settings
    if init_observe.marked(live.comment)[0] != settings.app.name:
        return
    wanted = roles.Wanted(
        settings.app.name,
        settings.name,
        database,
        target.described(context).schemas,
        roles.Login(live.user, None, None),
        *_others(context, live),
    )
    with sql.connect(url, read_only=False) as connection:
        for change in init_changes.changes(wanted, init_observe.database(connection, wanted)):
            # Roles are made already, and are nobody's password here.
            for text in () if change.role else change.sql:
                connection.execute(text.encode())


def _others(context: Context, live: Look) -> tuple[roles.Login | None, roles.Login | None]:
    """Return the application's role and the reader's."""
    environment = context.settings.environment
    if target.is_external(context):
        names = [_user(context, environment.database_url), _user(context, environment.reader_url)]
    else:
        names = ["", roles.reader_of(live.database)]
    known = [name if name in live.roles and name != live.user else "" for name in names]
    application, reader = (roles.Login(name, None, None) if name else None for name in known)
    return application, reader


def _user(context: Context, reference: str) -> str:
    if not reference:
        return ""
    url = context.secrets.resolve(reference).get_secret_value()
    plain = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", url)
    return str(conninfo.conninfo_to_dict(plain).get("user") or "")


def _extend(context: Context, url: SecretStr, live: Look) -> None:
    """Make the extensions that ops.toml lists; what it leaves open is as on the real server."""
    asked = extensions.wanted(context)
    if not asked:
        return
    seen = extensions_observe.observe(url, [each.name for each in asked])
    completed = []
    for each in asked:
        there, here = live.extensions.get(each.name), seen.available.get(each.name)
        if here is None:
            raise missing_extension(each.name, seen.major)
        if there is not None:
            version = there.version if there.version in here.versions else ""
            schema = each.schema or there.schema
            each = replace(each, version=each.version or version, schema=schema)
        completed.append(each)
    with sql.connect(url, read_only=False) as connection:
        for change in extensions_changes.changes(completed, seen):
            for text in change.sql:
                connection.execute(text.encode())
