"""SQL text is split as the server splits it: each text is also run as a whole, and the server's results are counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ops.database.statements import Kind, split, tokens
from tests.support.postgres import Postgres

TEXTS = {
    "select 'a;b'; select 2": 2,
    "select E'it\\'s;'; select e'\\\\'; select 3": 3,
    "select 'a\\'; select 2": 2,
    "/* a /* b; */ c; */ select 1; select 2": 2,
    "do $$ begin perform 1; end; $$; select 2": 2,
    "do $a$ begin perform $$;$$; end $a$; select 2": 2,
    "select $ü1$;$ü1$, $$ $a$ ; $$; select 2": 2,
    'select 1 as "a;""b"; select 2': 2,
    "select 1 as a$b$c; select 2 as d$b$": 2,
    "create function pg_temp.f() returns int begin atomic select 1; select case when true then 1 end; end; select 2": 2,
    "create temp table r (a int); create rule x as on insert to r do (select 1; select 2); select 3": 3,
    "create or replace procedure pg_temp.p() language plpgsql as 'begin null; end;'; select 2": 2,
    "select U&'d\\0061;' uescape '!'; select B'01', X'1f', N'a;'; select 3": 3,
    "select 'a'\n'b;'; select E'a' -- ;\n -- '\n 'b\\';'; select 3": 3,
    "select 1 -- x;\n; select 2": 2,
    "begin; select 1; commit; select 2": 4,
    "select 1::int @- -1; select 2": 2,
    "select 1;;; select 2;": 2,
    "select 1 /*; */ +/* '*/ 1; -- end": 1,
    "select 1.5e3, 1_a, '😀;' as \"ü\"; select 2 as ü": 2,
    "select 2 as begin_end; select (case when true then ';' end); select 3": 3,
    "\n\n\t": 0,
}


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection[Any]]:
    with Postgres.begin() as server, server.connect(server.create()) as connection:
        connection.execute("create operator @- (leftarg = int, rightarg = int, function = int4pl)")
        yield connection


@pytest.mark.parametrize(("text", "count"), TEXTS.items())
def test_each_statement_is_one(text: str, count: int, connection: psycopg.Connection[Any]) -> None:
    found = split(text)
    assert len(found) == count, [each.text for each in found]
    for each in found:
        first = each.tokens[0]
        assert text[first.start :].startswith(each.text)
        assert text.count("\n", 0, first.start) + 1 == each.line
    if "1_a" in text:  # a number with a unit: refused by the server from 15 on
        return
    cursor = connection.execute(text.encode())
    results = 1 if count else 0
    while cursor.nextset():
        results += 1
    assert results == count
    for each in found:
        if not each.text.startswith("create"):  # those are there now
            connection.execute(each.text.encode())


def test_what_is_not_closed_is_left_to_the_server(connection: psycopg.Connection[Any]) -> None:
    for text in ("select 'a; b", 'select "a', "select $a$ ; $b$", "select 1 /* a", "select E'a\\"):
        (one,) = split(text) if "/*" not in text else split(text)[-1:]
        assert one.text.startswith("select")
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute(one.text.encode())


def test_comments_are_tokens_and_no_statements() -> None:
    found = list(tokens("-- a\nselect /* b */ 1"))
    assert [(each.kind, each.text, each.line) for each in found] == [
        (Kind.COMMENT, "-- a", 1),
        (Kind.WORD, "select", 2),
        (Kind.COMMENT, "/* b */", 2),
        (Kind.SYMBOL, "1", 2),
    ]
    assert split("-- only; a comment") == []


def test_long_comments_between_strings_cost_no_more_than_their_length() -> None:
    text = "select E'a' " + "-- x" * 50_000 + ";"
    began = time.process_time()
    assert len(split(text)) == 1
    assert time.process_time() - began < 5
