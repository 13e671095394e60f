"""What a server says about extensions: which are installed, which it has, along which paths they can be updated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from ops.database import sql

_INSTALLED = """
select e.extname, e.extversion, n.nspname, e.extrelocatable, pg_has_role(e.extowner, 'usage')
from pg_extension e join pg_namespace n on n.oid = e.extnamespace"""
_AVAILABLE = """
select a.name, a.default_version, v.version, v.trusted or not v.superuser, v.requires
from pg_available_extensions a join pg_available_extension_versions v on v.name = a.name"""
_PATHS = """
select p.source, p.target from pg_extension_update_paths(%s) p where p.path is not null"""
_SELF = """
select current_setting('server_version_num')::int / 10000, rolsuper,
  has_database_privilege(current_database(), 'create'),
  (select pg_get_userbyid(datdba) from pg_database where datname = current_database()),
  array(select nspname::text from pg_namespace)
from pg_roles where rolname = current_user"""


@dataclass(frozen=True)
class Installed:
    """An extension of a database.

    Args:
        version: Its version.
        schema: Where its objects are.
        relocatable: Whether they can be moved.
        ours: Whether this user may change it.
    """

    version: str
    schema: str
    relocatable: bool
    ours: bool


@dataclass(frozen=True)
class Available:
    """An extension that the server has.

    Args:
        default: Version that is installed when none is named.
        versions: That can be installed, each with whether a user with CREATE on the database may do it.
        requires: Other extensions that it needs.
    """

    default: str
    versions: Mapping[str, bool]
    requires: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """What is there.

    Args:
        major: Version of the server.
        superuser: Whether this user may do everything.
        creates: Whether this user may create in the database.
        owner: Of the database.
        schemas: Of the database.
        installed: By name.
        available: By name.
        paths: (name, from, to) along which an installed extension can be updated.
    """

    major: int
    superuser: bool
    creates: bool
    owner: str
    schemas: frozenset[str]
    installed: Mapping[str, Installed]
    available: Mapping[str, Available]
    paths: frozenset[tuple[str, str, str]]


def observe(url: SecretStr, names: list[str]) -> Seen:
    """Look at a database with regard to some extensions."""
    with sql.connect(url, read_only=True) as connection:
        row = connection.execute(_SELF.encode()).fetchone()
        assert row is not None
        installed = {row[0]: Installed(*row[1:]) for row in connection.execute(_INSTALLED.encode())}
        found: dict[str, Available] = {}
        for name, default, version, anybody, requires in connection.execute(_AVAILABLE.encode()):
            there = found.get(name, Available(default, {}, ()))
            needs = tuple(requires or ()) if version == default else there.requires
            found[name] = Available(default, {**there.versions, version: bool(anybody)}, needs)
        paths = {
            (name, source, to)
            for name in names
            if name in installed
            for source, to in connection.execute(_PATHS.encode(), [name])
        }
    major, superuser, creates, owner, schemas = row
    return Seen(
        major, superuser, creates, owner, frozenset(schemas), installed, found, frozenset(paths)
    )
