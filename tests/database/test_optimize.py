"""Maintenance by measure on a real server: what needs it is worked on, the rest is left alone, and once is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.database import optimize_need, optimize_statement
from ops.kernel import exits
from tests.support.commands import Answer, Command
from tests.support.postgres import Postgres
from tests.support.roles import Site

ROWS = 60_000
TABLE = "create table {0} (id bigint primary key, note text not null); alter table {0} set (autovacuum_enabled = false)"
FILL = "insert into {0} select n, md5(n::text) from generate_series(1, {1}) n"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def db(
    server: Postgres,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    users = {"database_url": "owner"}
    site = Site(tmp_path, server, server.create(), users, Command(capsys), monkeypatch)
    monkeypatch.setenv("OPS_HOME", str(tmp_path / "home"))
    site.write()
    return site


def change(db: Site, *statements: str) -> None:
    """Run statements; what they change is counted when the connection ends."""
    with db.connect("database_url") as connection:
        for each in statements:
            connection.execute(each.encode())


def run(db: Site, *words: str) -> Answer:
    return db("maintenance.optimize", "--yes", *words)


def planned(db: Site) -> list[str]:
    """Return the titles of the plan's steps."""
    answer = db("maintenance.optimize", "--dry-run", "--format", "json")
    assert answer.code == exits.DRY_RUN, answer.err
    return [each["title"] for each in answer.json.get("plan", {}).get("steps", [])]


def size(db: Site, name: str) -> int:
    return int(str(db.rows(f"select pg_relation_size('{name}')")[0][0]))


@pytest.fixture
def bloated(db: Site) -> Site:
    """Two of three rows of `events` are gone, `still` is as it should be."""
    for table in ("events", "still"):
        change(db, TABLE.format(table), FILL.format(table, ROWS))
        change(db, f"vacuum analyze {table}")
    change(db, f"delete from events where id <= {ROWS * 2 // 3}")
    return db


def test_bloat_is_measured_removed_and_then_there_is_nothing_to_change(bloated: Site) -> None:
    before = size(bloated, "events_pkey")
    titles = planned(bloated)
    assert titles[0].startswith("Vacuum public.events: 67 % dead rows, ")
    assert titles[1].startswith("Rebuild public.events_pkey beside itself: ")
    assert "% unused by estimate, " in titles[1]
    assert len(titles) == 3, titles
    assert size(bloated, "events_pkey") == before

    answer = run(bloated)
    assert answer.code == 0, answer.err
    assert size(bloated, "events_pkey") < before * 0.5
    dead = bloated.rows("select n_dead_tup from pg_stat_user_tables where relname = 'events'")
    assert dead == [(0,)]
    again = run(bloated)
    assert (again.code, "nothing to change: no table or index of" in again.out) == (0, True)


def test_a_dry_run_names_the_command_that_settles_an_estimate(bloated: Site) -> None:
    answer = bloated("maintenance.optimize", "--dry-run")
    assert answer.code == exits.DRY_RUN
    assert "create extension pgstattuple; select avg_leaf_density from pgstatindex(" in answer.out
    assert "10 % dead rows, 10 % changed rows, 30 % of an index unused" in answer.out


def test_the_extension_gives_the_exact_value(bloated: Site) -> None:
    bloated.rows("create extension pgstattuple")
    change(bloated, "vacuum events")
    titles = planned(bloated)
    assert len(titles) == 3, titles
    (rebuild,) = [each for each in titles if each.startswith("Rebuild")]
    assert "estimate" not in rebuild
    assert 60 <= int(rebuild.split(": ")[1].split(" %")[0]) <= 70, rebuild
    assert run(bloated).code == 0
    assert "nothing to change" in run(bloated).out


def test_changed_rows_are_analysed_only(db: Site) -> None:
    change(db, TABLE.format("news"), FILL.format("news", 1000))
    assert planned(db) == ["Analyse public.news: 100 % of its rows changed"]
    assert run(db).code == 0
    assert "nothing to change" in run(db).out


def test_thresholds_are_those_of_ops_toml(bloated: Site) -> None:
    bloated.write(more="[maintenance]\ndead_rows = 70\nchanged_rows = 99\nbloat = 90\n")
    assert "nothing to change" in run(bloated).out


def test_few_rows_are_left_alone(db: Site) -> None:
    change(db, TABLE.format("tiny"), FILL.format("tiny", 25), "delete from tiny where id > 9")
    assert "nothing to change" in run(db).out


def test_a_locked_table_is_left_with_its_reason_and_the_others_go_on(
    bloated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimize_statement, "LOCK_TIMEOUT", "100ms")
    change(bloated, "delete from still where id > 10")
    with bloated.connect("database_url") as other, other.transaction():
        other.execute("set application_name to 'report'")
        other.execute("lock table events in access exclusive mode")
        answer = run(bloated)
    assert answer.code == exits.GENERAL
    assert "public.events: it is locked, held by process" in answer.err
    assert "(report, idle in transaction, for" in answer.err
    assert "still" not in answer.err.partition("error:")[2]
    assert run(bloated).code == 0
    assert "nothing to change" in run(bloated).out


def test_dead_rows_that_a_transaction_keeps_alive_name_it(db: Site) -> None:
    change(db, TABLE.format("events"), FILL.format("events", 1000))
    with db.connect("database_url") as old, old.transaction():
        old.execute("set transaction isolation level repeatable read")
        old.execute("select pg_current_xact_id_if_assigned()")
        change(db, "delete from events")
        answer = run(db)
    assert answer.code == exits.GENERAL
    assert "its dead rows stay while process" in answer.err
    assert run(db).code == 0


def test_the_time_limit_of_a_table_ends_its_statement_and_leaves_no_half_index(
    bloated: Site,
) -> None:
    bloated.write(more="[maintenance]\ntable_limit = 0.2\n")
    change(bloated, "vacuum analyze events")
    with bloated.connect("database_url") as old, old.transaction():
        old.execute("set transaction isolation level repeatable read")
        old.execute("select from still limit 1")  # a rebuild waits for it
        answer = run(bloated)
    assert answer.code == exits.GENERAL
    assert "public.events_pkey: not done within 0.2 s ([maintenance] table_limit)" in answer.err
    assert not bloated.rows("select from pg_index where not indisvalid")


def test_old_transaction_ids_are_frozen(db: Site) -> None:
    change(db, TABLE.format("old"), FILL.format("old", 10))
    change(db, "alter table old set (autovacuum_freeze_max_age = 100000)")
    assert planned(db) == []
    table = optimize_need.Table(1, "public", "old", 10, 10, 0, 0, 0.61, allowed=True)
    assert table.freeze() == "age 61% of the forced freeze"


def test_who_does_not_own_the_tables_is_told(bloated: Site) -> None:
    bloated.rows("create role stranger login")
    bloated.users["database_url"] = "stranger"
    answer = run(bloated)
    assert answer.code == exits.PERMISSION
    assert "public.events of somebody else need maintenance" in answer.err
    assert "migration_url of [environments.production] must be their owner's" in answer.err


def test_a_server_that_is_down_is_told(db: Site) -> None:
    db.users["database_url"] = "nobody"
    answer = run(db)
    assert answer.code == exits.CONNECTION
    assert "cannot connect to database" in answer.err
