"""What has to change so that a database and its roles are as wanted: one line and its SQL for each object. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from psycopg import sql as statements

from ops.database.init_grants import NONE, Change, grant, grants, name
from ops.database.init_observe import DEFAULT_SCHEMA, PUBLIC, Relation, Seen, marked
from ops.database.roles import Login, Wanted
from ops.kernel.errors import ConfigurationError

WRITES: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
READS: Final = frozenset({"SELECT"})
COUNTS: Final = frozenset({"USAGE", "SELECT"})
_SHOWN_NAMES: Final = 3
_DATABASE_OWNER: Final = "pg_database_owner"


def refuse(wanted: Wanted, seen: Seen) -> None:
    """Refuse what belongs to somebody else.

    Raises:
        ConfigurationError: The database or a role is not this application's.
    """
    app, environment = marked(seen.comment)
    if app and (app, environment) != (wanted.app, wanted.environment):
        raise ConfigurationError(
            f"database {wanted.database} belongs to {app}, environment {environment}",
            why="its comment says so",
            hint="check the URLs; a database that really changes hands: "
            f"comment on database {name(wanted.database)} is null",
        )
    if not app and seen.owner not in ("", wanted.owner.name) and seen.relations:
        raise ConfigurationError(
            f"database {wanted.database} is owned by {seen.owner} and has tables",
            why=f"it was not made for {wanted.app}",
            hint="check the URLs; if it is the right one: "
            f"alter database {name(wanted.database)} owner to {name(wanted.owner.name)}",
        )
    for login in wanted.logins:
        role = seen.roles.get(login.name)
        if role is None or login.name == seen.admin:
            continue
        other = marked(role.comment)[0]
        if other and other != wanted.app:
            raise ConfigurationError(
                f"role {login.name} belongs to {other}",
                why="its comment says so",
                hint="name another user in the URLs",
            )
        if role.powers and not other:
            raise ConfigurationError(
                f"role {login.name} has {', '.join(sorted(role.powers))} and is not one that db.init made",
                hint="name a user of its own in the URLs, never an administrator",
            )


def changes(wanted: Wanted, seen: Seen) -> list[Change]:
    """Return what differs, roles first; nothing when all is right."""
    return [
        *(each for login in wanted.logins for each in _role(wanted, seen, login)),
        *_database(wanted, seen),
        *(each for schema in wanted.schemas for each in _schema(wanted, seen, schema)),
        *_owners(wanted, seen),
        *_relations(wanted, seen),
        *(each for schema in wanted.schemas for each in _defaults(wanted, seen, schema)),
    ]


def helpers(wanted: Wanted, seen: Seen) -> list[str]:
    """Return the roles whose member an administrator must be for a moment who is no superuser."""
    if seen.superuser:
        return []
    names = {wanted.owner.name, seen.owner or wanted.owner.name}
    ours = {each.name for each in wanted.logins}
    names |= {each.owner for each in seen.relations if each.owner in ours}
    return sorted(names - seen.becomes)


def _role(wanted: Wanted, seen: Seen, login: Login) -> Iterator[Change]:
    role, what = seen.roles.get(login.name), f"role {login.name}"
    mark = f"comment on role {name(login.name)} is {_text(f'invops: {wanted.app}')}"
    if role is None:
        if login.password is None and login.url is not None:
            yield Change(what, "missing: make it", (f"create role {name(login.name)} login", mark))
        else:
            yield Change(what, "missing: make it", (mark,), password=login.name)
        return
    if login.name == seen.admin:
        return
    wrong = [*sorted(role.powers), *([] if role.login else ["no login"])]
    words = [*(f"no{each}" for each in sorted(role.powers)), *([] if role.login else ["login"])]
    if role.expired:
        wrong.append("expired")
        words.append("valid until 'infinity'")
    if wrong:
        statement = f"alter role {name(login.name)} {' '.join(words)}"
        yield Change(what, f"has {', '.join(wrong)}: take it away", (statement,))
    for group in role.groups:
        statement = f"revoke {name(group)} from {name(login.name)}"
        yield Change(what, f"member of {group}: revoke it", (statement,))
    if login.name in seen.refused:
        yield Change(what, "its password does not work: set it", password=login.name)
    if not marked(role.comment)[0]:
        comment = f"{role.comment} (invops: {wanted.app})".lstrip() if role.comment else ""
        text = _text(comment or f"invops: {wanted.app}")
        yield Change(
            what, "not marked: mark it", (f"comment on role {name(login.name)} is {text}",)
        )


def _database(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    what, quoted = f"database {wanted.database}", name(wanted.database)
    if seen.owner not in ("", wanted.owner.name):
        statement = f"alter database {quoted} owner to {name(wanted.owner.name)}"
        yield Change(what, f"owned by {seen.owner}: give it to {wanted.owner.name}", (statement,))
    if marked(seen.comment) != (wanted.app, wanted.environment):
        text = f"invops: {wanted.app}/{wanted.environment}"
        text = f"{seen.comment} ({text})" if seen.comment else text
        state = "not marked: mark it" if seen.owner else "missing: make it"
        yield Change(what, state, (f"comment on database {quoted} is {_text(text)}",))
    connect = frozenset({"CONNECT"})
    allowed = {login.name: connect for login in wanted.logins[1:]}
    if not seen.superuser and seen.admin != wanted.owner.name:
        # An administrator who is no superuser must be able to come back.
        allowed[seen.admin] = connect | seen.privileges.get(seen.admin, NONE)
    yield from grants(what, f"database {quoted}", seen.privileges, {**allowed, PUBLIC: NONE})


def _schema(wanted: Wanted, seen: Seen, schema: str) -> Iterator[Change]:
    what, quoted, owner = f"schema {schema}", name(schema), wanted.owner.name
    found = seen.schemas.get(schema)
    usage = frozenset({"USAGE"})
    allowed = {login.name: usage for login in wanted.logins[1:]}
    if found is None:
        statement = f"create schema {quoted} authorization {name(owner)}"
        yield Change(what, "missing: make it", (statement,))
        yield from grants(what, f"schema {quoted}", {}, allowed)
        return
    # The owner of the database is the owner of this one (PostgreSQL 15 and newer).
    if found.owner != owner and (schema, found.owner) != (DEFAULT_SCHEMA, _DATABASE_OWNER):
        statement = f"alter schema {quoted} owner to {name(owner)}"
        yield Change(what, f"owned by {found.owner}: give it to {owner}", (statement,))
    there = {**found.privileges}
    # Everybody may look into a schema that others made for everybody; nobody may create in it.
    everybody = there.get(PUBLIC, NONE) & usage
    yield from grants(what, f"schema {quoted}", there, {**allowed, PUBLIC: everybody})


def _owners(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """Yield relations that the application or the reader owns: with that it could do everything to them."""
    others = {each.name for each in wanted.logins[1:]}
    owned: dict[tuple[str, str], list[Relation]] = {}
    for each in seen.relations:
        if each.owner in others:
            owned.setdefault((each.schema, each.owner), []).append(each)
    for (schema, owner), relations in owned.items():
        # ALTER TABLE does it for views and sequences too; a sequence of a column goes with its table.
        moved = [each for each in relations if not each.attached]
        to = name(wanted.owner.name)
        sql = tuple(f"alter table {_relation(each)} owner to {to}" for each in moved)
        names = _names([each.name for each in moved])
        if moved:
            state = f"owned by {owner}: give to {wanted.owner.name} ({names})"
            yield Change(f"tables of {owner} in {schema}", state, sql)


def _relations(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """Yield missing and surplus privileges, the same ones on several relations together."""
    others = {each.name for each in wanted.logins[1:]}
    found: dict[tuple[str, bool, str, str, frozenset[str]], list[Relation]] = {}
    for each in seen.relations:
        if each.owner != wanted.owner.name and each.owner not in others:
            continue
        for grantee, allowed in _allowed(wanted, each.sequence).items():
            has = each.privileges.get(grantee, NONE)
            surplus = (has | each.columns.get(grantee, NONE)) - allowed
            for verb, words in (("grant", allowed - has), ("revoke", surplus)):
                if words:
                    key = (each.schema, each.sequence, grantee, verb, words)
                    found.setdefault(key, []).append(each)
    for (schema, sequence, grantee, verb, words), relations in found.items():
        kind = "sequence" if sequence else "table"
        targets = f"{kind} {', '.join(map(_relation, relations))}"
        names = _names([each.name for each in relations])
        yield grant(f"{kind}s in {schema}", targets, grantee, verb, words, f" on {names}")


def _defaults(wanted: Wanted, seen: Seen, schema: str) -> Iterator[Change]:
    """Yield what relations lack that migrations will make."""
    for sequence in (False, True):
        kind = "sequences" if sequence else "tables"
        allowed = {k: v for k, v in _allowed(wanted, sequence).items() if k != PUBLIC}
        prefix = (
            f"alter default privileges for role {name(wanted.owner.name)} in schema {name(schema)} "
        )
        there = seen.defaults.get((schema, sequence), {})
        yield from grants(f"later {kind} in {schema}", kind, there, allowed, prefix)


def _allowed(wanted: Wanted, sequence: bool) -> Mapping[str, frozenset[str]]:
    allowed = {PUBLIC: NONE}
    if wanted.application:
        allowed[wanted.application.name] = COUNTS if sequence else WRITES
    if wanted.reader:
        allowed[wanted.reader.name] = READS
    return allowed


def _relation(each: Relation) -> str:
    return f"{name(each.schema)}.{name(each.name)}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _text(text: str) -> str:
    return statements.Literal(text).as_string(None)
