"""What pg_dump does not say of a database: whose it is, versions of extensions, indexes that are invalid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from ops.database import sql
from ops.database.schema.definitions import Key
from ops.database.schema.entries import IDENTIFIER, unquoted

_SELF: Final = """
select current_setting('server_version_num')::int / 10000, current_user::text, current_database()::text,
  current_setting('search_path'), coalesce(shobj_description(d.oid, 'pg_database'), ''),
  array(select nspname::text from pg_namespace where nspname !~ '^(pg_|information_schema$)' order by 1),
  array(select rolname::text from pg_roles where rolname !~ '^pg_' order by 1)
from pg_database d where d.datname = current_database()"""
_EXTENSIONS: Final = """
select e.extname, e.extversion, coalesce(a.default_version, ''), n.nspname
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
  left join pg_available_extensions a on a.name = e.extname"""
# pg_dump leaves them out; on a partitioned table the word only means that a partition lacks its part.
_INVALID: Final = """
select n.nspname, i.relname, pg_get_indexdef(i.oid)
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
  join pg_namespace n on n.oid = i.relnamespace
where not x.indisvalid and t.relkind <> 'p' and n.nspname !~ '^pg_'"""


@dataclass(frozen=True)
class Installed:
    """An extension of a database.

    Args:
        version: Its version.
        default: Version that this server installs when none is named.
        schema: Where its objects are.
    """

    version: str
    default: str
    schema: str


@dataclass(frozen=True)
class Look:
    """What a database says of itself.

    Args:
        major: Version of its server.
        user: Who looked: the owner of the schema.
        database: Its name.
        search_path: Schemas where a name without one is looked for.
        comment: Its comment.
        schemas: All of its schemas but the server's own.
        roles: All roles of the server but its own.
        extensions: By name.
        invalid: Definition of each invalid index.
    """

    major: int
    user: str
    database: str
    search_path: tuple[str, ...]
    comment: str
    schemas: tuple[str, ...]
    roles: tuple[str, ...]
    extensions: Mapping[str, Installed]
    invalid: Mapping[Key, str]


def look(url: SecretStr) -> Look:
    """Ask a database; changes nothing.

    Raises:
        ConnectionFailed: It does not answer, or refuses the credentials.
    """
    with sql.connect(url, read_only=True) as connection:
        row = connection.execute(_SELF.encode()).fetchone()
        assert row is not None
        major, user, database, path, comment, schemas, roles = row
        extensions = {
            each[0]: Installed(*each[1:]) for each in connection.execute(_EXTENSIONS.encode())
        }
        # As pg_dump does it: then every name is written with its schema.
        connection.execute("select set_config('search_path', '', true)")
        invalid = {
            Key("index", schema, name): f"{definition};\nINVALID"
            for schema, name, definition in connection.execute(_INVALID.encode())
        }
    path = tuple(unquoted(each) for each in re.findall(IDENTIFIER, path))
    return Look(
        major, user, database, path, comment, tuple(schemas), tuple(roles), extensions, invalid
    )
