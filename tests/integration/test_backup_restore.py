"""`inv backup.restore`: into a new database, or in the place of the environment's."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ops.backup import beside, catalog
from ops.backup.engines.postgres_server import PostgresServer
from ops.kernel.errors import StepFailed
from tests.support import restores
from tests.support.postgres import Postgres
from tests.support.restores import Site, assert_nothing_changed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def site(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    with restores.site(server, monkeypatch, capsys) as made:
        yield made


def test_into_a_new_database_by_default(site: Site) -> None:
    answer = site.restore("--format", "json")
    assert answer.code == 0, answer.err
    new = site.name("restored")
    assert answer.json["database"] == new
    assert (site.orders(), site.orders(new)) == (101, 100)
    assert site.shop.databases()[new] == f"{beside.MARK} {site.backup.id}"
    ((analysed,),) = site.shop.ask("SELECT count(*) FROM pg_stats WHERE tablename = 'orders'", new)
    assert analysed, "statistics are there"
    again = site.restore()
    assert (again.code, f"{new}_2" in again.out) == (0, True), "another one beside the first"


def test_into_a_name_of_choice(site: Site) -> None:
    name = f"{site.shop.database}_My \"own\" 'name'"
    assert site.restore("--into", name).code == 0
    assert (site.orders(name), len(site.shop.databases())) == (100, 2)


def test_in_the_place_of_the_database(site: Site) -> None:
    answer = site.restore("--replace", "--confirm", "live", "--format", "json")
    assert answer.code == 0, answer.err
    before = site.name("before")
    assert (site.orders(), site.orders(before)) == (100, 101)
    assert set(site.shop.databases()) == {site.shop.database, before}
    assert answer.json["before"] == before
    safety = catalog.find(site.shop.context(), answer.json["safety"])
    assert (safety.purpose, safety.inventory.tables[0].rows) == ("restore", 101)
    # Back to the safety backup, as the answer says it.
    back = site("backup.restore", "--id", safety.id, "--replace", "--yes")
    assert (back.code, site.orders()) == (0, 101)


def test_commands_that_are_printed_work(site: Site) -> None:
    answer = site.restore("--replace", "--yes")
    hints = dict(
        line.strip().removeprefix("next: ").split(": ", 1)
        for line in answer.out.splitlines()
        if "next: " in line
    )
    subprocess.run(hints["go back to the database before"], shell=True, check=True, cwd="/")
    assert site.orders() == 101
    new = site.restore().out
    drop = next(line for line in new.splitlines() if "drop it: " in line).partition(": drop it: ")[
        2
    ]
    subprocess.run(drop, shell=True, check=True, cwd="/")
    assert site.name("restored") not in site.shop.databases()


def test_dry_run_shows_the_plan_and_changes_nothing(site: Site) -> None:
    answer = site.restore("--replace", "--dry-run", "--format", "json")
    assert answer.code == 10
    plan = answer.json["plan"]
    assert plan["destructive"]
    assert [each["id"] for each in plan["steps"]] == ["safety", "bring", "swap"]
    assert "are cut" in plan["summary"]["connections"]
    assert_nothing_changed(site)
    assert len(catalog.backups(site.shop.context())) == 1


def test_replacing_is_confirmed_by_name(site: Site) -> None:
    answer = site.restore("--replace")
    assert (answer.code, "--confirm live" in answer.err) == (3, True)
    answer = site.restore("--replace", "--confirm", "other")
    assert answer.code == 3
    assert_nothing_changed(site)


def test_owner_rights_settings_limit_and_comment_are_carried_over(site: Site) -> None:
    own = site.shop.database
    for statement in (
        'DROP ROLE IF EXISTS "Ann"',
        'CREATE ROLE "Ann" LOGIN',
        f"REVOKE ALL ON DATABASE {own} FROM PUBLIC",
        f'ALTER DATABASE {own} OWNER TO "Ann"',
        f"GRANT CONNECT ON DATABASE {own} TO pg_monitor WITH GRANT OPTION",
        f"ALTER DATABASE {own} SET search_path TO \"$user\", public, 'odd one'",
        f"ALTER ROLE \"Ann\" IN DATABASE {own} SET work_mem TO '7MB'",
        f"ALTER DATABASE {own} CONNECTION LIMIT 17",
        f"COMMENT ON DATABASE {own} IS 'it''s ours'",
    ):
        site.shop.ask(statement, "postgres")

    def properties() -> tuple[Any, ...]:
        row = site.shop.ask(
            "SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'),"
            " (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(datacl) acl),"
            " (SELECT array_agg(s ORDER BY s::text) FROM (SELECT setrole, setconfig FROM pg_db_role_setting"
            " WHERE setdatabase = d.oid) s), encoding, datcollate FROM pg_database d"
            f" WHERE datname = '{own}'",
            "postgres",
        )
        return tuple(row[0])

    before = properties()
    try:
        assert site.restore("--replace", "--yes").code == 0
        assert site.orders() == 100
        assert properties() == before
    finally:
        site.shop.drop()
        site.shop.ask('DROP ROLE "Ann"', "postgres")
        site.shop.ask(f"CREATE DATABASE {own}", "postgres")


def test_swap_cuts_connections_however_fast_they_come_back(site: Site) -> None:
    stop, cuts, answers = threading.Event(), [0], {101: 0, 100: 0}

    def application() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(site.shop.url, autocommit=True) as connection:
                    while not stop.wait(0.002):
                        row = connection.execute("SELECT count(*) FROM orders").fetchone()
                        assert row is not None
                        answers[row[0]] += 1
            except psycopg.Error:
                cuts[0] += 1

    threads = [threading.Thread(target=application) for _ in range(5)]
    for each in threads:
        each.start()
    try:
        answer = site.restore("--replace", "--yes")
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert answer.code == 0, answer.err
    assert cuts[0] >= len(threads)
    assert answers[101], "the old content was served whole"


def test_empty_database_needs_no_safety_backup(site: Site) -> None:
    site.shop.ask("DROP TABLE orders")
    answer = site.restore("--replace", "--yes", "--format", "json")
    assert answer.code == 0, answer.err
    assert (site.orders(), answer.json["safety"]) == (100, "")


def test_owner_with_createdb_is_enough(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that is no superuser: its own objects, its own database."""
    own = site.shop.database
    for statement in (
        "DROP ROLE IF EXISTS holder",
        "CREATE ROLE holder LOGIN CREATEDB",
        f"ALTER DATABASE {own} OWNER TO holder",
    ):
        site.shop.ask(statement, "postgres")
    site.shop.ask(
        "ALTER TABLE orders OWNER TO holder; SELECT lo_unlink(oid) FROM pg_largeobject_metadata"
    )
    site.shop.ask("GRANT ALL ON SCHEMA public TO holder; ALTER SCHEMA public OWNER TO holder")
    monkeypatch.setenv("DB", site.shop.server.url(own, "holder"))
    site.shop.user = "holder"
    site.backup = site.shop.take()
    site.shop.ask("INSERT INTO orders VALUES (102, 'later')")
    answer = site.restore("--replace", "--yes")
    assert (answer.code, site.orders()) == (0, 101), answer.err
    site.shop.drop()
    site.shop.ask("DROP ROLE holder", "postgres")
    site.shop.ask(f"CREATE DATABASE {own}", "postgres")


def test_left_overs_of_killed_runs_are_removed_and_others_stay(site: Site) -> None:
    own = site.shop.database
    half = [f"{own}_restoring_aaaaaa", f"{own}_restoring_bbbbbb"]
    kept = [f"{own}_restoring_cccccc", f"{own}_restoring_later", f"{own}x_restoring_aaaaaa"]
    for name in (*half, *kept):
        site.shop.ask(f"CREATE DATABASE {name}", "postgres")
    site.shop.ask(f"COMMENT ON DATABASE {half[1]} IS '{beside.MARK} x, half'", "postgres")
    site.shop.ask(f"COMMENT ON DATABASE {kept[0]} IS 'a person made it'", "postgres")
    plan = site.restore("--dry-run")
    assert all(each in plan.out for each in half) and kept[0] not in plan.out
    assert site.restore().code == 0
    assert set(site.shop.databases()) == {own, site.name("restored"), *kept}


def test_undo_of_the_swap_brings_the_old_content_back(site: Site) -> None:
    context = site.shop.context()
    work, old = site.name("restoring"), site.name("before")
    arguments = {"backup": site.backup.id, "work": work, "old": old}
    beside.bring(context, backup=site.backup.id, work=work)
    beside.swap(context, **arguments)
    assert (site.orders(), site.orders(old)) == (100, 101)
    assert beside.swap.check is not None and beside.swap.undo is not None
    assert beside.swap.check(context, **arguments) is not None
    for _ in range(2):  # the second time it looks and finds nothing to undo
        beside.swap.undo(context, None, **arguments)
        assert (site.orders(), site.orders(work)) == (101, 100)
    assert beside.bring.undo is not None
    beside.bring.undo(context, None, backup=site.backup.id, work=work)
    assert_nothing_changed(site)


def test_swap_that_is_refused_changes_nothing(site: Site) -> None:
    context, work = site.shop.context(), site.name("restoring")
    beside.bring(context, backup=site.backup.id, work=work)
    site.shop.ask(f"CREATE DATABASE {site.name('before')}", "postgres")
    with pytest.raises(StepFailed, match="already exists"):
        PostgresServer(context).swap(work, site.name("before"), "")
    assert (site.orders(), site.orders(work)) == (101, 100)
