"""A PostgreSQL database made like another one: encoding and locale, owner, rights, settings."""

from __future__ import annotations

from typing import Any, Final

from psycopg import sql as statements

from ops.database.sql import Connection
from ops.kernel.errors import NotPermitted

_DEFAULT_PLACE: Final = "pg_default"
_SETTINGS: Final = """
    select coalesce(rolname, ''), setconfig from pg_db_role_setting left join pg_roles on pg_roles.oid = setrole
    where setdatabase = (select oid from pg_database where datname = %s)"""
_RIGHTS: Final = """
    select coalesce(rolname, ''), privilege_type, is_grantable
    from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) left join pg_roles on pg_roles.oid = grantee
    where datname = %s"""
_MAY: Final = """
    select current_user, rolsuper or rolcreatedb,
        (select datdba::regrole::text from pg_database where datname = %s and not pg_has_role(datdba, 'member'))
    from pg_roles where rolname = current_user"""


def permit(connection: Connection, database: str, environment: str) -> None:
    """Make sure that a role may make databases like this one.

    Raises:
        NotPermitted: It may not, with what to grant.
    """
    ((role, creates, owner),) = connection.execute(_MAY, [database]).fetchall()
    hint = f"set admin_url in [environments.{environment}] to a role that may"
    if not creates:
        raise NotPermitted(
            f"role {role} may not create databases",
            hint=f'{hint}, or: alter role "{role}" createdb',
        )
    if owner:
        raise NotPermitted(
            f"role {role} may not give a database to {owner}",
            hint=f'{hint}, or: grant {owner} to "{role}"',
        )


def create(connection: Connection, name: str, like: str) -> None:
    """Make an empty database with encoding, locale and tablespace of another one, if that is there."""
    query = """select to_jsonb(pg_database) || jsonb_build_object('encoding', pg_encoding_to_char(encoding),
        'tablespace', spcname) from pg_database join pg_tablespace on pg_tablespace.oid = dattablespace
        where datname = %s"""
    row = connection.execute(query, [like]).fetchone()
    options = [] if row is None else _options(row[0])
    create = statements.SQL("create database {} template template0 {}")
    connection.execute(
        create.format(statements.Identifier(name), statements.SQL(" ").join(options))
    )


def _options(like: dict[str, Any]) -> list[statements.Composed]:
    # Columns differ: no provider before 15, ICU's locale is datlocale since 17.
    provider = {"i": "icu", "b": "builtin"}.get(like.get("datlocprovider", "c"))
    locale = like.get("datlocale") or like.get("daticulocale")
    values = {"encoding": like["encoding"], "lc_collate": like["datcollate"]}
    values["lc_ctype"] = like["datctype"]
    if provider and locale:
        values |= {"locale_provider": provider, f"{provider}_locale": locale}
    options = [
        statements.SQL("{} = {}").format(statements.SQL(key), statements.Literal(value))
        for key, value in values.items()
    ]
    if like["tablespace"] != _DEFAULT_PLACE:  # naming even the default one needs a right
        place = statements.Identifier(like["tablespace"])
        options.append(statements.SQL("tablespace = {}").format(place))
    return options


def dress(connection: Connection, name: str, like: str) -> None:
    """Give a database owner, rights, settings and connection limit of another one, if that is there."""
    query = """select rolname, datconnlimit from pg_database join pg_roles on pg_roles.oid = datdba
        where datname = %s"""
    row = connection.execute(query, [like]).fetchone()
    if row is None:
        return
    owner, limit = row
    database = statements.Identifier(name)
    give = statements.SQL("alter database {} owner to {}")
    connection.execute(give.format(database, statements.Identifier(owner)))
    connection.execute(
        statements.SQL("alter database {} connection limit {}").format(database, limit)
    )
    grant = statements.SQL("grant {} on database {} to {}{}")
    for role, right, further in connection.execute(_RIGHTS, [like]).fetchall():
        whom = statements.Identifier(role) if role else statements.SQL("public")
        option = statements.SQL(" with grant option" if further else "")
        connection.execute(grant.format(statements.SQL(right), database, whom, option))
    _set(connection, name, like)


def _set(connection: Connection, name: str, like: str) -> None:
    for role, settings in connection.execute(_SETTINGS, [like]).fetchall():
        prefix = statements.SQL("alter database {}").format(statements.Identifier(name))
        if role:
            prefix = statements.SQL("alter role {} in database {}").format(
                statements.Identifier(role), statements.Identifier(name)
            )
        for key, _, value in (each.partition("=") for each in settings):
            parameter = statements.SQL(".").join(map(statements.Identifier, key.split(".")))
            # From the session: lists such as search_path cannot be written as one literal.
            connection.execute("select set_config(%s, %s, true)", [key, value])
            connection.execute(statements.SQL("{} set {} from current").format(prefix, parameter))
            connection.execute(statements.SQL("reset {}").format(parameter))
