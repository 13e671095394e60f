"""The lock trace on a real server: the exact lock of each table, what is written anew, what is read whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.database import lint, sql
from ops.database.lint import LockedTable, Script, Trace
from ops.database.lint.tracing import _Replay
from ops.database.scratch import Scratch, server
from tests.conftest import require
from tests.support import local
from tests.support.local import Project

APPLIED = """
create table t (id bigint primary key, a int not null, b int, v varchar(10), e text);
create index t_a on t (a);
create index t_v on t (v);
create table u (id bigint primary key);
create table p (id bigint, at date) partition by range (at);
create table p1 partition of p for values from ('2020-01-01') to ('2021-01-01');
create materialized view m as select * from u;
create unique index m_id on m (id);
create view w as select * from u;
insert into u values (1), (2);
alter table t add constraint b_is_there check (b is not null) not valid;
"""
LOCKS: dict[str, list[tuple[str, str, tuple[str, ...], bool]]] = {
    "alter table t add c int": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t add c int default 1": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t add c float default random()": [
        ("t", "ACCESS EXCLUSIVE", ("t", "t_a", "t_pkey", "t_v"), True)
    ],
    "alter table t alter a type bigint": [
        ("t", "ACCESS EXCLUSIVE", ("t", "t_a", "t_pkey", "t_v"), True)
    ],
    "alter table t alter v type varchar(20)": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t alter v type text": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t alter a drop not null": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t alter b set not null": [("t", "ACCESS EXCLUSIVE", (), True)],
    "alter table t validate constraint b_is_there": [("t", "SHARE UPDATE EXCLUSIVE", (), True)],
    "alter table t add check (a > 0)": [("t", "ACCESS EXCLUSIVE", (), True)],
    "alter table t add check (a > 0) not valid": [("t", "ACCESS EXCLUSIVE", (), False)],
    "alter table t add foreign key (a) references u not valid": [
        ("t", "SHARE ROW EXCLUSIVE", (), False),
        ("u", "SHARE ROW EXCLUSIVE", (), False),
    ],
    "create index on t (b)": [("t", "SHARE", (), True)],
    "create index concurrently on t (b)": [("t", "SHARE UPDATE EXCLUSIVE", (), False)],
    "drop index t_a": [("t", "ACCESS EXCLUSIVE", (), False)],
    "drop index concurrently t_a": [("t", "SHARE UPDATE EXCLUSIVE", (), False)],
    "reindex index concurrently t_a": [("t", "SHARE UPDATE EXCLUSIVE", ("t_a",), False)],
    "vacuum full t": [("t", "ACCESS EXCLUSIVE", ("t", "t_a", "t_pkey", "t_v"), False)],
    "vacuum t": [("t", "SHARE UPDATE EXCLUSIVE", (), False)],
    "create trigger x before insert on t for each row execute function suppress_redundant_updates_trigger()": [
        ("t", "SHARE ROW EXCLUSIVE", (), False)
    ],
    "truncate u": [("u", "ACCESS EXCLUSIVE", ("u", "u_pkey"), True)],
    "lock table t in exclusive mode": [("t", "EXCLUSIVE", (), False)],
    "refresh materialized view m": [("m", "ACCESS EXCLUSIVE", ("m", "m_id"), True)],
    "drop table t": [("t", "ACCESS EXCLUSIVE", (), False)],
    "drop view w": [("w", "ACCESS EXCLUSIVE", (), False)],
    "alter table p detach partition p1": [
        ("p", "ACCESS EXCLUSIVE", (), False),
        ("p1", "ACCESS EXCLUSIVE", (), False),
    ],
    "update u set id = id + 10": [("u", "ROW EXCLUSIVE", (), True)],
    "insert into u values (9)": [("u", "ROW EXCLUSIVE", (), False)],
    "select * from t for update": [],
    "create table n (id bigint primary key); insert into n values (1); alter table n add c int": [],
    "create view x as select * from t": [],
    "comment on table t is 'x'": [("t", "SHARE UPDATE EXCLUSIVE", (), False)],
}


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    require("postgres", "postgresql", "/usr/lib/postgresql/*/bin")
    with local.project(600) as made:
        yield made


@pytest.fixture(scope="module")
def scratch(project: Project) -> Iterator[Scratch]:
    with server(project.context) as running:
        with sql.connect(running.make("ground"), read_only=False) as connection:
            connection.execute(APPLIED.encode())
        yield running


def script(text: str, path: str = "2_b.sql", *, in_transaction: bool = True) -> Script:
    return Script(path, text, in_transaction, False)


def short(lock: LockedTable) -> tuple[str, str, tuple[str, ...], bool]:
    names = tuple(each.removeprefix("public.") for each in lock.rewrites)
    return lock.table.removeprefix("public."), lock.mode, names, lock.scanned


@pytest.mark.parametrize("text", LOCKS)
def test_locks_of_a_statement(text: str, project: Project, scratch: Scratch) -> None:
    with sql.connect(scratch.url(), read_only=False, autocommit=True) as admin:
        admin.execute("drop database if exists one")
        admin.execute("create database one template ground")
    with sql.connect(scratch.url("one"), read_only=False, autocommit=True) as connection:
        replay = _Replay(project.context, connection)
        alone = "concurrently" in text or text.startswith("vacuum")
        replay.run(script(text, in_transaction=not alone), looks=True)
    assert [each.message for each in replay.findings if each.rule == "fails"] == []
    assert sorted(map(short, replay.locks)) == LOCKS[text]


def traced(project: Project, *pending: Script, applied: str = APPLIED) -> Trace:
    return lint.trace(project.context, [script(applied, "1_a.sql")], pending, server_major=0)


def test_statements_of_one_transaction_keep_what_they_hold(project: Project) -> None:
    text = "alter table t add c int;\n\nalter table t alter a type bigint;\nupdate u set id = 5 where id = 1;"
    found = traced(project, script(text), script("alter table t drop c", "3_c.sql"))
    assert [(each.file, each.line, each.table, each.mode, each.rows) for each in found.locks] == [
        ("2_b.sql", 1, "public.t", "ACCESS EXCLUSIVE", 0),
        ("2_b.sql", 3, "public.t", "", 0),
        ("2_b.sql", 4, "public.u", "ROW EXCLUSIVE", 1),
        ("3_c.sql", 1, "public.t", "ACCESS EXCLUSIVE", 0),
    ]
    assert [(each.line, each.rule, each.severity) for each in found.findings] == [
        (3, "table-rewrite", "error")
    ]
    assert found.ran == {"1_a.sql", "2_b.sql", "3_c.sql"}


def test_scan_under_a_lock_is_a_finding_and_a_comment_allows_it(project: Project) -> None:
    comment = "-- invops: allow scan-under-lock it is small"
    text = f"alter table t add check (a > 0);\n{comment}\nalter table t add check (a > 1);"
    found = traced(project, script(text))
    assert [(each.line, each.rule) for each in found.findings] == [(1, "scan-under-lock")]


@pytest.mark.parametrize(
    ("text", "line", "rule", "words"),
    [
        (
            "select 1;\nalter table nothing add a int",
            2,
            "fails",
            'relation "nothing" does not exist',
        ),
        ("selec 1", 1, "fails", 'syntax error at or near "selec"'),
        ("create extension no_such_thing", 1, "not-traced", "no_such_thing"),
        ("insert into t values (1, null)", 1, "not-traced", "violates not-null constraint"),
        ("do $$ begin raise 'no customers yet'; end $$", 1, "not-traced", "no customers yet"),
        ("create index concurrently on t (b)", 1, "fails", "cannot run inside a transaction block"),
    ],
)
def test_what_does_not_run_is_told(
    text: str, line: int, rule: str, words: str, project: Project
) -> None:
    found = traced(project, script(text))
    (one,) = found.findings
    assert (one.line, one.rule) == (line, rule)
    assert words in one.message
    assert "2_b.sql" not in found.ran


def test_roles_that_migrations_name_are_made(project: Project) -> None:
    found = traced(
        project, script('grant select on t to app, "the Reader"; set role app; select 1')
    )
    assert (found.findings, "2_b.sql" in found.ran) == ([], True)


def test_applied_migration_that_cannot_be_replayed_makes_the_rest_uncertain(
    project: Project,
) -> None:
    applied = f"create extension no_such_thing;{APPLIED}"
    found = traced(project, script("alter table gone add a int"), applied=applied)
    assert [(each.file, each.rule, each.severity) for each in found.findings] == [
        ("1_a.sql", "not-traced", "warning"),
        ("2_b.sql", "not-traced", "warning"),
    ]


def test_settings_and_temporary_tables_of_a_migration_end_with_it(project: Project) -> None:
    first = script("create temp table t (x int); set search_path to ''; set role none", "2_b.sql")
    found = traced(project, first, script("alter table t drop b", "3_c.sql"))
    assert [each.file for each in found.locks] == ["3_c.sql"]
