"""Rules, squawk and trace together: risky lines are named, comments silence, wrong guesses are withdrawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.database import lint
from ops.database.lint import Script, Trace
from ops.database.lint.model import Finding
from ops.kernel import exits
from ops.kernel.errors import DependencyError
from tests.conftest import require
from tests.support import local
from tests.support.local import Project

GROUND = """
create table t (id bigint primary key, a int, b text, c varchar(10));
create table u (id bigint primary key);
create type mood as enum ('good');
create materialized view m as select * from u;
create index t_a on t (a);
create table p (id bigint);
alter table p enable row level security;
"""
# Research, database.md section 6: what a linter has to name. The line is the only one of its migration.
RISKY = {
    "alter table t alter a type bigint": "table-rewrite",
    "alter table t add q double precision default random()": "table-rewrite",
    "alter table t alter a set not null": "scan-under-lock",
    "alter table t add check (a > 0)": "scan-under-lock",
    "alter table t add foreign key (a) references u": "scan-under-lock",
    "alter table t add q bigint not null": "adding-required-field",
    "alter table t add unique (b)": "disallowed-unique-constraint",
    "create index on t (b)": "require-concurrent-index-creation",
    "drop index t_a": "require-concurrent-index-deletion",
    "reindex index t_a": "require-concurrent-reindex",
    "select 1; create index concurrently on t (b)": "ban-concurrent-index-creation-in-transaction",
    "alter type mood rename value 'good' to 'fine'": "undeclared-break",
    "alter table t drop column c": "undeclared-break",
    "alter table t rename b to note": "undeclared-break",
    "alter table t rename to v": "undeclared-break",
    "drop table u cascade": "undeclared-break",
    "update t set a = 1": "update-without-where",
    "delete from t": "delete-without-where",
    "truncate t": "truncate",
    "vacuum full t": "vacuum-full",
    "cluster t using t_pkey": "cluster",
    "lock table t": "lock-table",
    "refresh materialized view m": "refresh-not-concurrent",
    "grant all on t to anon": "grant-to-everybody",
    "create policy everybody on t using (true)": "policy-for-everybody",
    "create table z (id bigint primary key)": "no-row-level-security",
}

SEEN = ("table-rewrite", "scan-under-lock")


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    require("postgres", "postgresql", "/usr/lib/postgresql/*/bin")
    with local.project(600) as made:
        yield made


def script(text: str, path: str = "2_b.sql", *, in_transaction: bool = True) -> Script:
    return Script(path, text, in_transaction, False)


def both(project: Project, *pending: Script) -> list[Finding]:
    applied = [script(GROUND, "1_a.sql")]
    found = lint.findings(project.context, pending, server_major=15, applied=applied)
    traced = lint.trace(project.context, applied, pending, server_major=0)
    return lint.agreed(pending, found, traced)


def test_all_risky_lines_are_named_as_errors(project: Project) -> None:
    files = {
        text: script(f"-- a comment\n{text};", f"{n}.sql", in_transaction="vacuum" not in text)
        for n, text in enumerate(RISKY)
    }
    seen = [files[text] for text, rule in RISKY.items() if rule in SEEN]
    found = both(project, *seen)
    applied = [script(GROUND, "1_a.sql")]
    found += lint.findings(project.context, list(files.values()), server_major=15, applied=applied)
    errors = {(each.file, each.line, each.rule) for each in found if each.severity == "error"}
    missed = [text for text, rule in RISKY.items() if (files[text].path, 2, rule) not in errors]
    assert len(RISKY) == 26
    assert not missed


def test_safe_ways_of_the_same_are_left_alone(project: Project) -> None:
    safe = [
        "alter table t add q bigint; alter table t add r bigint default 1",
        "alter table t add constraint positive check (a > 0) not valid",
        "alter table t validate constraint positive",
        "update t set a = 1 where id between 1 and 1000",
        "create table z (id bigint primary key); alter table z enable row level security",
    ]
    texts = [script(text, f"{n}.sql") for n, text in enumerate(safe)]
    texts.append(
        script(
            "create index concurrently if not exists t_b on t (b)", "9.sql", in_transaction=False
        )
    )
    assert [each for each in both(project, *texts) if each.severity == "error"] == []


def test_guess_that_the_trace_refutes_is_a_warning(project: Project) -> None:
    found = both(project, script("select 1;\nalter table t\n  alter c type varchar(20);"))
    guess = next(each for each in found if each.rule == "changing-column-type")
    assert (guess.line, guess.severity) == (3, "warning")
    assert "neither written anew nor read whole" in guess.hint


def test_what_rule_and_trace_say_is_said_once(project: Project) -> None:
    found = both(project, script("alter table t alter a type bigint"))
    assert [each.rule for each in found if each.severity == "error"] == ["table-rewrite"]


def test_syntax_that_postgres_takes_is_no_error() -> None:
    one = script("odd")
    error = Finding("2_b.sql", 1, "syntax-error", "error", "expected command", "")
    ran = Trace([], [], frozenset({"2_b.sql"}))
    assert lint.agreed([one], [error], ran) == []
    assert lint.agreed([one], [error], Trace([], [], frozenset())) == [error]


@pytest.mark.parametrize(
    ("text", "stay", "silenced"),
    [
        ("-- invops: allow truncate it is a cache\ntruncate t;", [], ["truncate"]),
        ("truncate t; -- invops: allow truncate it is a cache", [], ["truncate"]),
        (
            "select 1;\n-- about it\n-- invops: allow truncate a cache\n\ntruncate\nt;",
            [],
            ["truncate"],
        ),
        ("-- invops: allow truncate a cache\nselect 1;\ntruncate t;", ["truncate"], []),
        ("-- invops: allow cluster a cache\ntruncate t;", ["truncate"], []),
        ("-- invops: allow truncate\ntruncate t;", ["allow-without-reason", "truncate"], []),
        ("select '-- invops: allow truncate a cache';\ntruncate t;", ["truncate"], []),
        (
            "-- invops: allow renaming-view x\n-- squawk-ignore ban-drop-database\ndrop database x;",
            [],
            [],
        ),
        (
            "-- invops: allow ban-drop-database it was ours\ndrop database x;",
            [],
            ["ban-drop-database"],
        ),
    ],
)
def test_comment_silences_one_rule_for_one_statement(
    text: str, stay: list[str], silenced: list[str], project: Project
) -> None:
    found = lint.inspect(project.context, [script(text)], server_major=15)
    assert [each.rule for each in found[0]] == stay
    assert [each.rule for each in found[1]] == silenced


def test_lines_of_squawk_are_those_of_the_file(project: Project) -> None:
    texts = [
        script("select 1;\n\nselec 2;", "a b.sql"),
        script("\n\ncreate index on t (a);", "c.sql"),
    ]
    found = lint.findings(project.context, texts, server_major=15)
    assert {(each.file, each.line, each.rule) for each in found} == {
        ("a b.sql", 3, "syntax-error"),
        ("c.sql", 3, "require-concurrent-index-creation"),
    }


def test_missing_squawk_is_a_missing_dependency(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="squawk is not installed") as missing:
        lint.findings(project.context, [script("select 1")], server_major=15)
    assert missing.value.exit_code == exits.DEPENDENCY
    assert "-m pip install squawk-cli" in missing.value.hint
