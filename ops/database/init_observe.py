"""What a server says about a database, its roles and their privileges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from ops.database import sql
from ops.database.roles import Wanted
from ops.database.sql import Connection
from ops.kernel.errors import OpsError

PUBLIC: Final = ""
"""Everybody, as a grantee."""
DEFAULT_SCHEMA: Final = "public"
Privileges = Mapping[str, frozenset[str]]
"""Privileges by grantee, in the words of GRANT; "GRANT OPTION FOR X" for one that may be passed on."""
_MARK: Final = re.compile(r"invops: ([a-z][a-z0-9-]*)(?:/([a-z][a-z0-9-]*))?")
_POWERS: Final = {
    "rolsuper": "superuser",
    "rolcreatedb": "createdb",
    "rolcreaterole": "createrole",
    "rolreplication": "replication",
    "rolbypassrls": "bypassrls",
}
_ROLES: Final = """
select rolname, rolcanlogin, rolvaliduntil < now(), shobj_description(r.oid, 'pg_authid'),
  array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
        where m.member = r.oid order by 1),
  {powers}
from pg_roles r where rolname = any(%s)"""
_DATABASE: Final = """
select pg_get_userbyid(datdba), coalesce(shobj_description(oid, 'pg_database'), '')
from pg_database where datname = %s"""
# grantee, privilege, whether it may be passed on; what the owner itself has is left out.
_ACL: Final = """
select coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
from (select {owner} as owner, coalesce({acl}, acldefault('{kind}', {owner})) as acl from {table} where {where}) o,
  aclexplode(o.acl) a left join pg_roles r on r.oid = a.grantee where a.grantee <> o.owner"""
_DATABASE_ACL: Final = _ACL.format(
    owner="datdba", acl="datacl", kind="d", table="pg_database", where="datname = %s"
)
_SCHEMA_ACL: Final = _ACL.format(
    owner="nspowner", acl="nspacl", kind="n", table="pg_namespace", where="nspname = %s"
)
_SCHEMAS: Final = """
select nspname, pg_get_userbyid(nspowner) from pg_namespace where nspname = any(%s)"""
# Tables, views and sequences of the schemas that no extension brought; privileges on columns are marked.
_RELATIONS: Final = """
select n.nspname, c.relname, c.relkind = 'S', pg_get_userbyid(c.relowner),
  array(select array[coalesce(r.rolname, ''), a.privilege_type, a.is_grantable::text, a.of_column::text]
    from (select x.*, false as of_column
          from aclexplode(coalesce(c.relacl, acldefault(
            (case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner))) x
          union all
          select x.*, true from pg_attribute t, aclexplode(t.attacl) x
          where t.attrelid = c.oid and t.attacl is not null and not t.attisdropped) a
    left join pg_roles r on r.oid = a.grantee
    where a.grantee <> c.relowner and (a.grantee = 0 or r.rolname = any(%(logins)s))),
  exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
          and d.refobjsubid > 0 and d.deptype in ('a', 'i') and c.relkind = 'S')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                  and d.deptype = 'e')
order by 1, 2"""
_DEFAULTS: Final = """
select n.nspname, d.defaclobjtype = 'S', r.rolname, a.privilege_type, a.is_grantable
from pg_default_acl d join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
  join pg_roles r on r.oid = a.grantee
where pg_get_userbyid(d.defaclrole) = %s and n.nspname = any(%s) and d.defaclobjtype in ('r', 'S')"""
_ADMIN: Final = """
select current_user, rolsuper, array(select rolname::text from pg_roles g where pg_has_role(g.oid, 'usage'))
from pg_roles where rolname = current_user"""


@dataclass(frozen=True)
class Role:
    """A role of the server.

    Args:
        powers: Attributes beyond logging in, in the words of ALTER ROLE.
        login: Whether it may log in.
        expired: Whether its password is no longer valid.
        comment: Its comment.
        groups: Roles that it is a member of.
    """

    powers: frozenset[str] = frozenset()
    login: bool = True
    expired: bool = False
    comment: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """A schema: its owner and what others may do in it."""

    owner: str
    privileges: Privileges = field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A table, view or sequence.

    Args:
        schema: Its schema.
        name: Its name.
        sequence: Whether it is a sequence.
        owner: Its owner.
        privileges: Of the whole relation.
        columns: Of some of its columns.
        attached: Whether it is a sequence that belongs to a column.
    """

    schema: str
    name: str
    sequence: bool
    owner: str
    privileges: Privileges = field(default_factory=dict)
    columns: Privileges = field(default_factory=dict)
    attached: bool = False


@dataclass(frozen=True)
class Seen:
    """What is there.

    Args:
        admin: Who looked.
        superuser: Whether that is a superuser.
        becomes: Roles whose privileges it has.
        roles: Those of the wanted that exist.
        refused: Roles whose password does not work.
        owner: Of the database, empty when there is none.
        comment: Of the database.
        privileges: On the database.
        schemas: Those of the wanted that exist.
        relations: In them.
        defaults: For relations that the owner makes later: (schema, sequence) to privileges.
    """

    admin: str = ""
    superuser: bool = True
    becomes: frozenset[str] = frozenset()
    roles: Mapping[str, Role] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    owner: str = ""
    comment: str = ""
    privileges: Privileges = field(
        default_factory=lambda: {PUBLIC: frozenset({"CONNECT", "TEMPORARY"})}
    )
    schemas: Mapping[str, Schema] = field(
        default_factory=lambda: {
            DEFAULT_SCHEMA: Schema("pg_database_owner", {PUBLIC: frozenset({"USAGE"})})
        }
    )
    relations: tuple[Relation, ...] = ()
    defaults: Mapping[tuple[str, bool], Privileges] = field(default_factory=dict)


def server(connection: Connection, wanted: Wanted) -> Seen:
    """Look at what is outside of the database, as if that were new and empty."""
    admin, superuser, becomes = _one(connection, _ADMIN)
    roles = {
        name: Role(
            frozenset(word for word, has in zip(_POWERS.values(), powers, strict=True) if has),
            login,
            bool(expired),
            comment or "",
            tuple(groups),
        )
        for name, login, expired, comment, groups, *powers in connection.execute(
            _ROLES.format(powers=", ".join(_POWERS)).encode(),
            [[each.name for each in wanted.logins]],
        )
    }
    owner, comment = _one(connection, _DATABASE, wanted.database) or ("", "")
    return Seen(admin, superuser, frozenset(becomes), roles, owner=owner, comment=comment)


def database(connection: Connection, wanted: Wanted) -> Seen:
    """Look at everything; the connection is one to the database itself.

    Whether passwords work is tried with the URLs themselves: what counts is that they open the database.
    """
    base = server(connection, wanted)
    privileges = _privileges(connection.execute(_DATABASE_ACL.encode(), [wanted.database]))
    names = [each.name for each in wanted.logins]
    schemas = list(wanted.schemas)
    relations = connection.execute(_RELATIONS.encode(), {"logins": names, "schemas": schemas})
    return Seen(
        base.admin,
        base.superuser,
        base.becomes,
        base.roles,
        frozenset(_refused(wanted, base.roles, privileges)),
        base.owner,
        base.comment,
        privileges,
        {
            name: Schema(owner, _privileges(connection.execute(_SCHEMA_ACL.encode(), [name])))
            for name, owner in connection.execute(_SCHEMAS.encode(), [schemas]).fetchall()
        },
        tuple(_relation(*row) for row in relations),
        _defaults(connection, wanted),
    )


def marked(comment: str) -> tuple[str, str]:
    """Return application and environment that a comment names as the owner, empty texts for none."""
    found = _MARK.search(comment)
    return (found[1], found[2] or "") if found else ("", "")


def opens(url: SecretStr | None) -> str:
    """Try a URL; return why it does not open its database, empty when it does."""
    if url is None:
        return "its password is not known"
    try:
        with sql.connect(url, read_only=True):
            return ""
    except OpsError as error:
        return error.why or error.what


def _refused(wanted: Wanted, roles: Mapping[str, Role], privileges: Privileges) -> Iterable[str]:
    for each in wanted.logins:
        role = roles.get(each.name)
        if role is None or not role.login or role.expired:
            continue
        if each.password is None and each.url is not None:
            continue
        enters = each is wanted.owner or "CONNECT" in (
            privileges.get(each.name, frozenset()) | privileges.get(PUBLIC, frozenset())
        )
        if (enters or each.url is None) and opens(each.url):
            yield each.name


def _defaults(connection: Connection, wanted: Wanted) -> dict[tuple[str, bool], Privileges]:
    found: dict[tuple[str, bool], list[tuple[str, str, bool]]] = {}
    rows = connection.execute(_DEFAULTS.encode(), [wanted.owner.name, list(wanted.schemas)])
    for schema, sequence, *acl in rows:
        found.setdefault((schema, sequence), []).append((acl[0], acl[1], acl[2]))
    return {key: _privileges(rows) for key, rows in found.items()}


def _relation(
    schema: str, name: str, sequence: bool, owner: str, acl: list[list[str]], attached: bool
) -> Relation:
    rows = [(grantee, word, passes == "true", of == "true") for grantee, word, passes, of in acl]
    whole = _privileges(row[:3] for row in rows if not row[3])
    columns = _privileges(row[:3] for row in rows if row[3])
    return Relation(schema, name, sequence, owner, whole, columns, attached)


def _privileges(rows: Iterable[Any]) -> Privileges:
    found: dict[str, set[str]] = {}
    for grantee, word, passes_on in rows:
        found.setdefault(grantee, set()).add(word)
        if passes_on:
            found[grantee].add(f"GRANT OPTION FOR {word}")
    return {grantee: frozenset(words) for grantee, words in found.items()}


def _one(connection: Connection, query: str, *arguments: Any) -> Any:
    return connection.execute(query.encode(), list(arguments) or None).fetchone()
