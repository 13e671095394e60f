"""What has to change so that the listed extensions are there, at version and in schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ops.database.extensions_observe import Available, Installed, Seen
from ops.database.init_grants import Change, name
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.settings.faults import did_you_mean

PACKAGES: Final = {
    # Source: Debian's package archive; contrib is in the server's own package.
    "vector": "pgvector",
    "postgis": "postgis-3",
    "pg_cron": "cron",
    "pg_repack": "repack",
    "pg_partman": "partman",
    "pgaudit": "pgaudit",
    "hypopg": "hypopg",
}
_CONTRIB: Final = """
amcheck bloom btree_gin btree_gist citext cube dblink dict_int earthdistance file_fdw fuzzystrmatch hstore
intagg intarray isn lo ltree pageinspect pg_buffercache pg_freespacemap pg_prewarm pg_stat_statements
pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple postgres_fdw seg sslinfo
tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp xml2"""


@dataclass(frozen=True)
class Extension:
    """An extension that is wanted; an empty version or schema may be any."""

    name: str
    version: str = ""
    schema: str = ""


def changes(wanted: Sequence[Extension], seen: Seen) -> list[Change]:
    """Return what is missing or differs, in an order in which it can be done.

    Raises:
        DependencyError: The server does not have an extension or its version.
        ConfigurationError: A version cannot be reached, or a schema cannot be changed.
    """
    _refuse_missing(wanted, seen)
    found = []
    there = set(seen.schemas)
    for each in _ordered(wanted, seen.available):
        if each.schema and each.schema not in there:
            there.add(each.schema)
            found.append(_schema(each.schema, seen.owner))
        installed = seen.installed.get(each.name)
        found += [_create(each)] if installed is None else _repair(each, installed, seen)
    return found


def forbidden(wanted: Sequence[Extension], seen: Seen) -> list[str]:
    """Return what the user that looked may not do: what is not trusted, not its own, or a schema it cannot make."""
    if seen.superuser:
        return []
    return [each.name for each in wanted if not _may(each, seen)]


def _may(each: Extension, seen: Seen) -> bool:
    installed = seen.installed.get(each.name)
    if not seen.creates and each.schema and each.schema not in seen.schemas:
        return False
    if installed is None:
        known = seen.available[each.name]
        return seen.creates and known.versions[each.version or known.default]
    # The objects of a trusted extension belong to the superuser, so moving them is his.
    moves = each.schema not in ("", installed.schema)
    return _is_right(each, installed) or (installed.ours and not moves)


def _refuse_missing(wanted: Sequence[Extension], seen: Seen) -> None:
    for each in wanted:
        known = seen.available.get(each.name)
        if known is None and each.name not in seen.installed:
            raise DependencyError(
                f"the server does not have extension {each.name}",
                why=f"it is PostgreSQL {seen.major}{did_you_mean(each.name, seen.available)}",
                hint=_package(each.name, seen.major),
            )
        missing = [] if known is None else [x for x in known.requires if x not in seen.installed]
        if unlisted := sorted(set(missing) - {one.name for one in wanted}):
            raise ConfigurationError(
                f"extension {each.name} needs {', '.join(unlisted)}",
                hint="list it in database.extensions as well",
            )
        is_new = each.name not in seen.installed
        if known and is_new and each.version and each.version not in known.versions:
            raise DependencyError(
                f"the server does not have version {each.version} of extension {each.name}",
                why=f"it has {', '.join(sorted(known.versions))}",
                hint=_package(each.name, seen.major),
            )


def _package(extension: str, major: int) -> str:
    if extension in _CONTRIB.split():
        return f"apt-get install postgresql-{major} on the server: its contrib part has it"
    if extension in PACKAGES:
        return f"apt-get install postgresql-{major}-{PACKAGES[extension]} on the server"
    return f"install it on the server: apt-cache search postgresql-{major}"


def _ordered(
    wanted: Sequence[Extension], available: Mapping[str, Available]
) -> Sequence[Extension]:
    """Return them with each one behind those that it needs."""
    listed = {each.name: each for each in wanted}
    found: dict[str, Extension] = {}

    def add(each: Extension) -> None:
        known = available.get(each.name)
        for other in known.requires if known else ():
            if other in listed and other not in found:
                add(listed[other])
        found.setdefault(each.name, each)

    for each in wanted:
        add(each)
    return list(found.values())


def _schema(schema: str, owner: str) -> Change:
    quoted = name(schema)
    # Only extensions are in it, and their functions are for everybody who may enter the database.
    sql = (
        f"create schema {quoted} authorization {name(owner)}",
        f"grant usage on schema {quoted} to public",
    )
    return Change(f"schema {schema}", "missing: make it", sql)


def _create(each: Extension) -> Change:
    sql = f"create extension {name(each.name)}"
    sql += f" schema {name(each.schema)}" if each.schema else ""
    sql += f" version {name(each.version)}" if each.version else ""
    version = f" {each.version}" if each.version else ""
    return Change(f"extension {each.name}", f"missing: create{version}", (sql,))


def _is_right(each: Extension, installed: Installed) -> bool:
    return each.version in ("", installed.version) and each.schema in ("", installed.schema)


def _repair(each: Extension, installed: Installed, seen: Seen) -> list[Change]:
    what, quoted, found = f"extension {each.name}", name(each.name), []
    if each.version not in ("", installed.version):
        if (each.name, installed.version, each.version) not in seen.paths:
            reachable = sorted(
                to for n, source, to in seen.paths if (n, source) == (each.name, installed.version)
            )
            raise ConfigurationError(
                f"extension {each.name} cannot go from {installed.version} to {each.version}",
                why=(
                    f"it can go to {', '.join(reachable)}"
                    if reachable
                    else "the server has no update path from there"
                ),
                hint=f"list it as it is: {each.name}@{installed.version}",
            )
        state = f"is {installed.version}: update to {each.version}"
        found.append(
            Change(what, state, (f"alter extension {quoted} update to {name(each.version)}",))
        )
    if each.schema not in ("", installed.schema):
        if not installed.relocatable:
            raise ConfigurationError(
                f"extension {each.name} cannot be moved from schema {installed.schema} to {each.schema}",
                why="it is not relocatable",
                hint=f"list it as {installed.schema}.{each.name}",
            )
        state = f"is in schema {installed.schema}: move to {each.schema}"
        found.append(
            Change(what, state, (f"alter extension {quoted} set schema {name(each.schema)}",))
        )
    return found
