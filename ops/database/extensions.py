"""inv db.extensions: the extensions that ops.toml lists, at version and in schema. What else is installed stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from ops.database import roles, sql, target
from ops.database.extensions_changes import Extension, changes, forbidden
from ops.database.extensions_observe import Seen, observe
from ops.database.init_grants import Change, lines
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, NotPermitted, StepFailed
from ops.kernel.plan import Plan, Step
from ops.kernel.settings.values import EXTENSION_PATTERN
from ops.kernel.steps import Done, step

_LOCK_TIMEOUT: Final = "5s"
_BUILT_IN: Final = "plpgsql"


@dataclass(frozen=True)
class Deployed:
    """What was changed, one line an object."""

    changed: list[str]


def wanted(context: Context) -> list[Extension]:
    """Return the extensions that ops.toml lists.

    Raises:
        ConfigurationError: One stands there twice, or the engine is MySQL.
    """
    described = target.described(context)
    if described.extensions:
        roles.refuse_mysql(context, "db.extensions", "leave `extensions` out of [database]")
    found = []
    for text in described.extensions:
        match = re.fullmatch(EXTENSION_PATTERN, text)
        assert match is not None  # the settings checked it
        found.append(Extension(match[2], match[3] or "", match[1] or ""))
    names = [each.name for each in found]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ConfigurationError(f"database.extensions lists {', '.join(twice)} twice")
    return found


def plan(context: Context) -> Plan:
    """Plan the extensions of an environment's database."""
    asked = wanted(context)
    environment = context.settings.name
    if not asked:
        return Plan("db.extensions", environment, "", (), nothing="ops.toml lists no extension")
    steps = (deploy.step(names=list(target.described(context).extensions)),)
    if not target.is_external(context):
        database = target.name(context)
        if not target.server_of(context).has_database(database):
            return _first(environment, database, asked, steps)
    url = target.owner_url(context)
    where, seen = sql.describe(url), _look(url, asked)
    found = changes(asked, seen)
    others = sorted(set(seen.installed) - {each.name for each in asked} - {_BUILT_IN})
    if not found:
        why = f"{where} has {', '.join(each.name for each in asked)}"
        why += f"; not listed and left alone: {', '.join(others)}" if others else ""
        return Plan("db.extensions", environment, where, (), nothing=why)
    facts = lines(found)
    if others:
        facts["not listed, stay"] = ", ".join(others)
    if forbidden(asked, seen):
        _administrator(context, forbidden(asked, seen), found)
        facts["by"] = "the administrator, because the owner may not"
    shown = [each for change in found for each in change.sql]
    seen_changes = {"changes": lines(found), "sql": shown}
    return Plan("db.extensions", environment, where, steps, seen_changes, facts)


def _first(
    environment: str, database: str, asked: Sequence[Extension], steps: tuple[Step, ...]
) -> Plan:
    """Plan for an embedded server that does not run: what it has shows only then."""
    facts = {each.name: "looked at once the server runs" for each in asked}
    where = f"database {database} on the embedded server"
    begin = target.server.step(name=database)
    return Plan("db.extensions", environment, where, (begin, *steps), {}, facts)


def _are_right(context: Context, names: list[str]) -> Done | None:
    asked = wanted(context)
    found = changes(asked, _look(target.owner_url(context), asked))
    return None if found else Done("nothing differs")


@step(title="Deploy {names}", limit=minutes(5), check=_are_right)
def deploy(context: Context, names: list[str]) -> Deployed:
    """Create, update and move extensions in one transaction, then look again.

    Raises:
        NotPermitted: The owner may not and there is no administrator.
        StepFailed: A difference stays.
    """
    asked, owner = wanted(context), target.owner_url(context)
    seen = _look(owner, asked)
    found = changes(asked, seen)
    others = forbidden(asked, seen)
    url = _administrator(context, others, found) if others else owner
    with sql.connect(url, read_only=False, lock_timeout=_LOCK_TIMEOUT) as connection:
        for change in found:
            for text in change.sql:
                connection.execute(text.encode())
    if left := changes(asked, _look(owner, asked)):
        raise StepFailed(
            "extensions still differ", why="; ".join(f"{each.what} {each.state}" for each in left)
        )
    return Deployed([f"{what}: {state}" for what, state in lines(found).items()])


def _look(url: SecretStr, asked: Sequence[Extension]) -> Seen:
    return observe(url, [each.name for each in asked])


def _administrator(context: Context, names: Sequence[str], found: Sequence[Change]) -> SecretStr:
    """Return the URL of who may do what the owner may not.

    Raises:
        NotPermitted: There is none; the hint is what to ask the administrator.
    """
    database = roles.database_of(target.owner_url(context))
    if target.is_external(context) and not context.settings.environment.admin_url:
        statements = "; ".join(each for change in found for each in change.sql)
        raise NotPermitted(
            f"the owner of database {database} may not deploy {', '.join(names)}",
            why="that takes a superuser, and there is no admin_url",
            hint=f"ask the administrator to run in {database}: {statements}",
        )
    return roles.admin_url(context, database)
