"""inv db.init: role, database, schema and grants by least privilege; what has drifted is shown and repaired.

Nothing is ever dropped: no role, database, schema or table. Database and roles carry a comment with the application
that they are for; what another one's comment is on is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql as statements

from ops.database import cluster, init_observe, roles, sql, target
from ops.database.init_changes import changes, helpers, refuse
from ops.database.init_grants import Change, lines, name
from ops.database.init_observe import Seen
from ops.database.roles import Wanted
from ops.database.sql import Connection
from ops.kernel.context import Context
from ops.kernel.errors import StepFailed
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import Done, step

_LOCK_TIMEOUT = "5s"


@dataclass(frozen=True)
class Applied:
    """What was changed: one line an object."""

    changed: list[str]


def plan(context: Context) -> Plan:
    """Plan the database of an environment with its roles and privileges."""
    wanted = roles.wanted(context)
    external = target.is_external(context)
    up = external or target.server_of(context).has_database(wanted.database)
    seen = _look(context, wanted) if up else Seen()
    refuse(wanted, seen)
    found = changes(wanted, seen)
    where = sql.describe(roles.admin_url(context, wanted.database)) if external else ""
    where = where or f"database {wanted.database} on the embedded server"
    if up and seen.owner and not found:
        why = f"{where} and its roles are as they should be"
        return Plan("db.init", context.settings.name, where, (), nothing=why)
    made = []
    if not up:
        made.append(target.server.step(name=wanted.database))
    elif not seen.owner:
        made.append(make.step(database=wanted.database))
    made.append(apply.step(database=wanted.database))
    shown = [line for each in found for line in each.shown()]
    if not seen.owner:
        # Behind its owner.
        place = 0 if wanted.owner.name in seen.roles else 1
        shown.insert(
            place, f"create database {name(wanted.database)} owner {name(wanted.owner.name)}"
        )
    return Plan(
        "db.init",
        context.settings.name,
        where,
        tuple(made),
        {"changes": lines(found), "sql": shown},
        {**lines(found), **({"note": "; ".join(wanted.notes)} if wanted.notes else {})},
    )


def with_sql(report: Report) -> Report:
    """Return the report of a dry run with the SQL of the plan, without passwords."""
    seen = report.data.get("seen") or {}
    text = "".join(f"{each};\n" for each in seen.get("sql", ()))
    return replace(report, body=text) if text else report


def _is_made(context: Context, database: str) -> Done | None:
    wanted = roles.wanted(context)
    with sql.connect(roles.admin_url(context), read_only=True) as connection:
        there = init_observe.server(connection, wanted).owner
    return Done("it is there") if there else None


@step(title="Make database {database}", limit=120, check=_is_made)
def make(context: Context, database: str) -> None:
    """Make the owner and its database; no transaction can hold CREATE DATABASE."""
    wanted = roles.wanted(context)
    with sql.connect(roles.admin_url(context), read_only=False, autocommit=True) as connection:
        seen = init_observe.server(connection, wanted)
        refuse(wanted, seen)
        owner = wanted.owner
        if owner.name not in seen.roles:
            if owner.password is None:
                _run(connection, [f"create role {name(owner.name)} login"])
            else:
                cluster.set_role(connection, owner.name, owner.password)
        others = helpers(wanted, seen)
        _run(connection, [f"grant {name(each)} to current_user" for each in others])
        query = statements.SQL("create database {} owner {}").format(
            statements.Identifier(database), statements.Identifier(owner.name)
        )
        connection.execute(query)
        _run(connection, [f"revoke {name(each)} from current_user" for each in others])


def _is_right(context: Context, database: str) -> Done | None:
    wanted = roles.wanted(context)
    return None if changes(wanted, _look(context, wanted)) else Done("nothing differs")


@step(title="Set roles and privileges of {database}", limit=120, check=_is_right)
def apply(context: Context, database: str) -> Applied:
    """Repair every difference in one transaction, then look again and open the database as each role.

    Raises:
        StepFailed: A role cannot open the database, or a difference stays.
    """
    if not target.is_external(context):
        target.server_of(context).ensure_password(roles.reader_of(database))
    wanted = roles.wanted(context)
    url = roles.admin_url(context, database)
    with sql.connect(url, read_only=False, lock_timeout=_LOCK_TIMEOUT) as connection:
        seen = init_observe.database(connection, wanted)
        refuse(wanted, seen)
        found = changes(wanted, seen)
        _carry_out(connection, wanted, seen, found)
    for each in wanted.logins:
        if why := init_observe.opens(each.url):
            raise StepFailed(f"{each.name} cannot open database {database}", why=why)
    if left := changes(wanted, _look(context, wanted)):
        raise StepFailed(
            f"database {database} still differs",
            why="; ".join(f"{each.what}: {each.state}" for each in left[:3]),
            hint="somebody changes it at the same time, or another role granted it",
        )
    return Applied([f"{what}: {state}" for what, state in lines(found).items()])


def _carry_out(connection: Connection, wanted: Wanted, seen: Seen, found: Sequence[Change]) -> None:
    passwords = {each.name: each.password or "" for each in wanted.logins}
    # Roles first: an administrator who is no superuser becomes a member of the owner for the rest.
    for each in found:
        if each.role:
            _change(connection, each, passwords)
    others = helpers(wanted, seen)
    _run(connection, [f"grant {name(each)} to current_user" for each in others])
    for each in found:
        if not each.role:
            _change(connection, each, passwords)
    _run(connection, [f"revoke {name(each)} from current_user" for each in others])


def _change(connection: Connection, change: Change, passwords: Mapping[str, str]) -> None:
    if change.password:
        cluster.set_role(connection, change.password, passwords[change.password])
    _run(connection, change.sql)


def _run(connection: Connection, texts: Iterable[str]) -> None:
    for text in texts:
        connection.execute(text.encode())


def _look(context: Context, wanted: Wanted) -> Seen:
    """Look at the database, or at the roles alone while there is none."""
    with sql.connect(roles.admin_url(context), read_only=True) as connection:
        seen = init_observe.server(connection, wanted)
    if not seen.owner:
        return seen
    url = roles.admin_url(context, wanted.database)
    with sql.connect(url, read_only=True) as connection:
        return init_observe.database(connection, wanted)
