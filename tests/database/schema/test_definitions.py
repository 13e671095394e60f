"""A dump's text cut into objects, whatever is written in names, literals and bodies."""

from __future__ import annotations

import pytest

from ops.database.schema import Key, differences, objects

HEAD = "--\n-- Name: {name}; Type: {type}; Schema: {schema}; Owner: me\n--\n\n"
FALSE_ENTRY = HEAD.format(name="b", type="TABLE", schema="public") + "CREATE TABLE public.b (\n);\n"


def entry(type: str, name: str, text: str, schema: str = "public") -> str:
    return f"{HEAD.format(name=name, type=type, schema=schema)}{text}\n\n\n"


def dump(*entries: str) -> str:
    begin = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET x = 0;\n\n"
    return f"{begin}{''.join(entries)}--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"


@pytest.mark.parametrize(
    "body",
    [
        f"$$\n{FALSE_ENTRY}$$",
        f"$_$ $$ {FALSE_ENTRY} $$ $_$",
        f"'it''s\n{FALSE_ENTRY}'",
        f"E'it\\'s\n{FALSE_ENTRY}'",
        "$$ select '--'; -- it's; \"\n\n\n$$",
        "$a1$ $$;--' $b$ $a1$",
    ],
)
def test_body_of_a_function_is_no_entry(body: str) -> None:
    function = f"CREATE FUNCTION public.f() RETURNS void\n    LANGUAGE sql\n    AS {body};"
    found = objects(dump(entry("FUNCTION", "f()", function), entry("VIEW", "v", "CREATE VIEW v;")))
    assert found == {
        Key("function", "public", "f()"): function,
        Key("view", "public", "v"): "CREATE VIEW v;",
    }


def test_table_is_taken_apart() -> None:
    text = """CREATE TABLE public."Odd" (
    id integer DEFAULT nextval('x'::regclass) NOT NULL,
    "a,b" numeric(10,2),
    "say ""hi"" (" text DEFAULT 'x,
    y numeric(1,2),'::text,
    list text[] DEFAULT ARRAY['a'::text, ')'::text],
    CONSTRAINT few CHECK ((id = ANY (ARRAY[1, 2])))
)
WITH (b='2', a='1');
ALTER TABLE ONLY public."Odd" ALTER COLUMN "a,b" SET STATISTICS 9;


ALTER TABLE public."Odd" OWNER TO "the boss";

SET default_tablespace = '';"""
    found = objects(dump(entry("TABLE", "Odd", text)))
    assert found == {
        Key("table", "public", "Odd"): "CREATE TABLE public.\"Odd\" (...)\nWITH (a='1', b='2');",
        Key("column order", "public", "Odd"): 'id\na,b\nsay "hi" (\nlist',
        Key("column", "public", "id", "Odd"): "integer DEFAULT nextval('x'::regclass) NOT NULL",
        Key("column", "public", "a,b", "Odd"): "numeric(10,2)\nSET STATISTICS 9;",
        Key(
            "column", "public", 'say "hi" (', "Odd"
        ): "text DEFAULT 'x,\n    y numeric(1,2),'::text",
        Key("column", "public", "list", "Odd"): "text[] DEFAULT ARRAY['a'::text, ')'::text]",
        Key("constraint", "public", "few", "Odd"): "CHECK ((id = ANY (ARRAY[1, 2])))",
        Key("owner", "public", "TABLE Odd"): "the boss",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            entry(
                "ACL",
                "TABLE a",
                "GRANT SELECT ON TABLE public.a TO x;\nGRANT ALL ON TABLE public.a TO y;",
            ),
            entry(
                "ACL",
                "TABLE a",
                "GRANT ALL ON TABLE public.a TO y;\nGRANT SELECT ON TABLE public.a TO x;",
            ),
        ),
        (
            entry("POLICY", "a p", "CREATE POLICY p ON public.a TO x, y USING (true);"),
            entry("POLICY", "a p", "CREATE POLICY p ON public.a TO y, x USING (true);"),
        ),
        (
            entry(
                "TABLE",
                "a",
                "CREATE TABLE public.a (\n    b integer,\n    CONSTRAINT c CHECK ((b > 0))\n);",
            ),
            entry("TABLE", "a", "CREATE TABLE public.a (\n    b integer\n);")
            + entry(
                "CHECK CONSTRAINT",
                "a c",
                "ALTER TABLE public.a\n    ADD CONSTRAINT c CHECK ((b > 0));",
            ),
        ),
        (
            entry("COMMENT", "EXTENSION x", "COMMENT ON EXTENSION x IS 'of one version';", "-"),
            entry("COMMENT", "EXTENSION x", "COMMENT ON EXTENSION x IS 'of another';", "-"),
        ),
    ],
    ids=["grants", "roles of a policy", "check constraint", "comment of an extension"],
)
def test_same_schema_in_other_words_does_not_differ(one: str, other: str) -> None:
    assert differences(objects(dump(one)), objects(dump(other))) == []


def test_what_goes_with_a_missing_object_is_not_listed_by_itself() -> None:
    table = entry(
        "TABLE",
        "a",
        "CREATE TABLE public.a (\n    b integer\n);\n\n\nALTER TABLE public.a OWNER TO me;",
    )
    index = entry("INDEX", "i", "CREATE INDEX i ON public.a USING btree (b);")
    comment = entry("COMMENT", "COLUMN a.b", "COMMENT ON COLUMN public.a.b IS 'x';")
    (found,) = differences({}, objects(dump(table, index, comment)))
    assert found.key == Key("table", "public", "a")
    assert [str(each) for each in found.with_it] == [
        "column b of public.a",
        "column order public.a",
        "comment of column public.a.b",
        "index public.i",
        "owner of table public.a",
    ]
    assert found.what("migrations", "live") == "only in live"


def test_new_column_is_no_change_of_order() -> None:
    one = "CREATE TABLE public.a (\n    b integer,\n    c integer\n);"
    more = "CREATE TABLE public.a (\n    b integer,\n    x integer,\n    c integer\n);"
    swapped = "CREATE TABLE public.a (\n    c integer,\n    b integer\n);"
    before = objects(dump(entry("TABLE", "a", one)))
    names = [
        [str(each.key) for each in differences(before, objects(dump(entry("TABLE", "a", text))))]
        for text in (more, swapped)
    ]
    assert names == [["column x of public.a"], ["column order public.a"]]


def test_definitions_are_shown_as_lines_that_differ() -> None:
    one = objects(dump(entry("VIEW", "v", "CREATE VIEW public.v AS\n SELECT 1 AS a,\n    2 AS b;")))
    other = objects(
        dump(entry("VIEW", "v", "CREATE VIEW public.v AS\n SELECT 1 AS a,\n    3 AS b;"))
    )
    (found,) = differences(one, other)
    assert found.what("migrations", "live") == "differs"
    assert found.excerpt("migrations", "live").splitlines()[-2:] == ["-    2 AS b;", "+    3 AS b;"]
