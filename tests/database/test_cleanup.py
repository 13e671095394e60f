"""inv maintenance.cleanup on a real server: counts, ceilings, foreign keys, what it refuses before it touches a row."""

from __future__ import annotations

import re

import psycopg
import pytest

from ops.database import cleanup_look
from ops.kernel import exits
from tests.support.retention import Retention


def test_old_rows_go_and_young_ones_stay_and_a_second_run_has_nothing_to_do(db: Retention) -> None:
    db.rule()
    db.fill(old=95, young=7)
    done = db.run("--format", "json")
    assert done.code == 0, done.err
    assert done.json["results"]["delete:events"] == {"rows": 95, "left": "", "compatible": True}
    assert db.count() == 7
    again = db.run()
    assert (again.code, "nothing to change" in again.out) == (0, True)


def test_without_a_rule_there_is_nothing_to_do(db: Retention) -> None:
    answer = db.run()
    assert (answer.code, "no retention rule [cleanup.NAME]" in answer.out) == (0, True)


def test_a_dry_run_counts_and_deletes_nothing(db: Retention) -> None:
    db.rule()
    db.fill(old=12, young=1)
    answer = db.run("--dry-run")
    assert answer.code == exits.DRY_RUN
    assert '12 rows of "public"."events" older than 30 days (at)' in answer.out
    assert "none: what is deleted comes back from a backup only" in answer.out
    assert db.count() == 13


def test_a_count_that_takes_too_long_is_an_estimate_and_says_so(
    db: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.rule()
    db.fill(old=100_000, young=0)
    monkeypatch.setattr(cleanup_look, "COUNT_TIMEOUT", "2ms")
    answer = db.run("--dry-run")
    assert answer.code == exits.DRY_RUN
    assert re.search("about [0-9]{5,6} rows of", answer.out), answer.out


def test_the_ceiling_of_rows_ends_a_run_well_and_says_that_more_is_left(db: Retention) -> None:
    db.rule(more="most_rows = 25")
    db.fill(old=60, young=2)
    answer = db.run()
    assert answer.code == 0, answer.err
    assert "ceiling of 25 rows a run" in answer.out
    assert "more is left: inv maintenance.cleanup --env production" in answer.out
    assert db.count() == 37
    for expected in (12, 2):
        assert db.run().code == 0
        assert db.count() == expected


def test_a_ceiling_that_is_met_exactly_leaves_nothing(db: Retention) -> None:
    db.rule(more="most_rows = 20")
    db.fill(old=20, young=1)
    assert "more is left" not in db.run().out
    assert db.count() == 1


def test_the_ceiling_of_time_ends_a_run_well(db: Retention) -> None:
    db.rule(batch=1, more="most_time = 0.000001")
    db.fill(old=5, young=0)
    answer = db.run()
    assert (answer.code, "s a run" in answer.out) == (0, True)
    assert db.count() == 4


def test_cascades_are_shown_with_the_tables_that_lose_rows(db: Retention) -> None:
    db.rule()
    db.site.rows(
        "create table items (id int primary key, event bigint references events on delete cascade)"
    )
    db.site.rows("create table parts (item int references items on delete cascade)")
    db.site.rows("create table notes (event bigint references events on delete set null)")
    db.fill(old=3, young=1)
    db.site.rows("insert into items select id, id from events")
    db.site.rows("insert into parts select id from items")
    answer = db.run()
    assert answer.code == 0, answer.err
    assert "items, parts (by items) (ON DELETE CASCADE)" in answer.out
    assert "references in notes" in answer.out
    assert (db.count("items"), db.count("parts")) == (1, 1)


def test_rows_that_are_still_referred_to_stop_the_rule_with_a_clear_message(db: Retention) -> None:
    db.rule(batch=5)
    db.site.rows("create table items (event bigint references events)")
    db.fill(old=20, young=1)
    db.site.rows("insert into items select id from events order by at offset 12 limit 1")
    answer = db.run()
    assert answer.code == exits.GENERAL
    assert "items refers to it" in answer.out
    assert "a batch was refused, rows of it are still referred to" in answer.err
    assert "10 rows were deleted before" in answer.err
    assert db.count() == 11


def test_a_table_whose_cascade_leads_back_to_it_is_refused(db: Retention) -> None:
    db.rule()
    db.site.rows("alter table events add parent bigint references events on delete cascade")
    db.fill(old=2, young=1)
    answer = db.run()
    assert (answer.code, "still young could go" in answer.err) == (exits.CONFIGURATION, True)
    assert db.count() == 3


WRONG = {
    "table": (("event", "at"), "no table 'event' in schema public, did you mean 'events'?"),
    "schema": (("pubic.events", "at"), "no table 'pubic.events'"),
    "column": (("events", "att"), "has no column 'att'"),
    "type": (("events", "note"), "note is of type text, not a time or date"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_rule_stops_all_rules_before_anything(db: Retention, case: str) -> None:
    (table, column), message = WRONG[case]
    db.rule()
    db.rule("wrong", table=table, column=column)
    db.fill(old=2, young=0)
    answer = db.run()
    assert (answer.code, message in answer.err) == (exits.CONFIGURATION, True), answer.err
    assert db.count() == 2


def test_a_missing_index_is_a_warning_with_the_statement_to_paste(db: Retention) -> None:
    db.rule()
    db.site.rows("drop index events_at_idx")
    db.fill(old=30, young=4)
    answer = db.run()
    assert 'create index concurrently on "public"."events" ("at")' in answer.out
    assert (answer.code, db.count()) == (0, 4)


def test_without_the_right_to_delete_nothing_begins(db: Retention) -> None:
    db.rule()
    db.fill(old=2, young=0)
    db.site.rows(f"create role {db.site.name}_r login password 'reader-secret'")
    db.site.rows(f"grant select on events to {db.site.name}_r")
    db.site.users["database_url"] = f"{db.site.name}_r:reader-secret"
    answer = db.run()
    assert (answer.code, "lacks privileges on" in answer.err) == (exits.PERMISSION, True)


def test_a_protected_environment_asks_for_its_name(db: Retention) -> None:
    text = (db.site.folder / "ops.toml").read_text()
    (db.site.folder / "ops.toml").write_text(
        text.replace('target = "local"', 'target = "local"\nprotected = true\nstate = "local"')
    )
    db.rule()
    db.fill(old=2, young=1)
    refused = db.run()
    assert (refused.code, "--confirm production" in refused.err) == (exits.CONFIGURATION, True)
    assert db.count() == 3
    assert db.run("--confirm", "production").code == 0
    assert db.count() == 1


def test_a_table_that_somebody_locks_is_not_waited_for_long(
    db: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.rule()
    db.fill(old=2, young=1)
    monkeypatch.setattr(cleanup_look, "LOCK_TIMEOUT", "50ms")
    with psycopg.connect(db.site.server.url(db.site.name)) as other:
        other.execute("lock table events in share mode")
        answer = db.run()
    assert (answer.code, "somebody holds the lock" in answer.err) == (exits.GENERAL, True)
    assert db.count() == 3


def test_dates_and_quoted_names_in_another_schema(db: Retention) -> None:
    db.site.rows('create schema "odd one"')
    db.site.rows('create table "odd one"."Ev""ents" ("a t" date)')
    db.site.rows(
        'insert into "odd one"."Ev""ents" values (\'-infinity\'), (\'infinity\'), (null),'
        " ((now() at time zone 'UTC')::date - 2), ((now() at time zone 'UTC')::date - 3), (current_date)"
    )
    db.rule(table='odd one.Ev\\"ents', column="a t", keep="48h")
    answer = db.run()
    assert answer.code == 0, answer.err
    left = db.site.rows(
        'select "a t" = (now() at time zone \'UTC\')::date - 2 from "odd one"."Ev""ents" where isfinite("a t")'
    )
    assert sorted(left) == [(False,), (True,)]
    assert db.count('"odd one"."Ev""ents"') == 4
