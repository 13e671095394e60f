"""inv db.init repairs what was changed by hand: roles, owners, grants, also those of later tables."""

from __future__ import annotations

import pytest

from tests.support import roles
from tests.support.roles import Site

DRIFT = {
    "attribute": ("alter role {n}_app createdb", "role {n}_app", "has createdb: take it away"),
    "superuser": ("alter role {n}_read superuser", "role {n}_read", "has superuser"),
    "no login": ("alter role {n}_app nologin", "role {n}_app", "has no login"),
    "expired": ("alter role {n}_app valid until '2020-01-01'", "role {n}_app", "has expired"),
    "membership": ("grant {n}_own to {n}_app", "role {n}_app", "member of {n}_own: revoke it"),
    "password": ("alter role {n}_read password 'another'", "role {n}_read", "does not work"),
    "database owner": ("alter database {n} owner to owner", "database {n}", "owned by owner"),
    "schema owner": ("alter schema sales owner to owner", "schema sales", "owned by owner"),
    "schema gone": ("drop schema sales cascade", "schema sales", "missing"),
    "connect for all": ("grant connect on database {n} to public", "database {n}", "(PUBLIC) has"),
    "no connect": ("revoke connect on database {n} from {n}_app", "database {n}", "lacks CONNECT"),
    "create for all": (
        "grant create on schema public to public",
        "schema public",
        "everybody (PUBLIC) has CREATE, too much: revoke it",
    ),
    "create": ("grant create on schema sales to {n}_app", "schema sales", "has CREATE, too much"),
    "no usage": ("revoke usage on schema sales from {n}_read", "schema sales", "lacks USAGE"),
    "too much": (
        "grant insert, truncate on orders to {n}_read",
        "tables in public",
        "{n}_read has INSERT, TRUNCATE on orders, too much: revoke it",
    ),
    "column": ("grant update (total) on orders to {n}_read", "tables in public", "has UPDATE"),
    "for all": ("grant select on orders to public", "tables in public", "everybody (PUBLIC) has"),
    "pass on": (
        "grant select on orders to {n}_read with grant option",
        "tables in public",
        "has right to pass on SELECT",
    ),
    "missing": ("revoke delete on orders from {n}_app", "tables in public", "lacks DELETE"),
    "sequence": (
        "revoke all on sequence orders_id_seq from {n}_app",
        "sequences in public",
        "lacks SELECT, USAGE",
    ),
    "later": (
        "alter default privileges for role {n}_own in schema sales revoke select on tables from {n}_read",
        "later tables in sales",
        "lacks SELECT",
    ),
    "later, too much": (
        "alter default privileges for role {n}_own in schema sales grant delete on tables to {n}_read",
        "later tables in sales",
        "has DELETE, too much",
    ),
    "table owner": (
        "alter table orders owner to {n}_app",
        "tables of {n}_app in public",
        "give to {n}_own (orders)",
    ),
    "mark": ("comment on database {n} is null", "database {n}", "not marked"),
}


# Several at once where they do not hide each other.
ROUNDS = [
    {"attribute", "membership", "password", "database owner", "create for all", "column"},
    {"no login", "superuser", "schema owner", "connect for all", "too much", "sequence", "later"},
    {"expired", "no connect", "create", "no usage", "pass on", "missing", "later, too much"},
    {"schema gone", "for all", "mark"},
    {"table owner"},
]


def test_every_drift_is_in_a_round() -> None:
    assert sorted(each for cases in ROUNDS for each in cases) == sorted(DRIFT)


@pytest.mark.parametrize("cases", ROUNDS)
def test_drift_made_by_hand_is_shown_and_repaired(site: Site, cases: set[str]) -> None:
    for case in sorted(cases):
        site.rows(DRIFT[case][0].format(n=site.name))
    found = roles.changed(site("db.init", "--dry-run", "--format", "json"))
    for case in sorted(cases):
        _, what, state = (each.format(n=site.name) for each in DRIFT[case])
        assert state in found[what], found
    repaired = site("db.init")
    assert repaired.code == 0, repaired.err
    assert "nothing to change" in site("db.init").out
    with site.connect("reader_url") as reader, site.connect("database_url"):
        reader.execute("select * from orders")
