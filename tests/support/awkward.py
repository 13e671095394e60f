"""A database of everything that dumps are known to lose: types of all contrib extensions, names, objects, rights."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from ops.database import statements

_SQL = Path(__file__).with_suffix(".sql")
# Materialised views as well; not the tables of extensions.
RELATIONS = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm', 'f') AND relname NOT IN ('away', 'unseen')
  AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') ORDER BY 1"""
OBJECTS = """
SELECT oid::text, lomowner::regrole::text, lomacl::text, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid"""
SEQUENCES = """
SELECT schemaname, sequencename, last_value, start_value, min_value, max_value, increment_by, cycle, cache_size
FROM pg_sequences ORDER BY 1, 2"""

EXTENSIONS = (
    *("bloom", "btree_gin", "btree_gist", "citext", "cube", "dblink", "dict_int", "dict_xsyn"),
    *("earthdistance", "file_fdw", "fuzzystrmatch", "hstore", "intarray", "isn", "lo", "ltree"),
    *("pg_stat_statements", "pg_trgm", "pgcrypto", "pgrowlocks", "pgstattuple", "postgres_fdw"),
    *("seg", "sslinfo", "tablefunc", "tcn", "tsm_system_rows", "unaccent", '"uuid-ossp"', "xml2"),
)
# Extension types: a column of the type, an array of it, and values in its own notation.
TYPES = {
    "citext": ("Grüße", "ÄÖÜ'\"\\"),
    "cube": ("(1,2,3),(4,5,6)", "(0)"),
    "hstore": ('a=>1, "b c"=>NULL, "\\"q\\""=>"\\\\"', ""),
    "public.isbn": ("978-0-11-000533-1",),
    "ean13": ("978-0-393-04002-9",),
    "issn": ("1436-4522",),
    "lo": (),
    "ltree": ("Top.Science.Astronomy", ""),
    "lquery": ("*.Astronomy.*",),
    "ltxtquery": ("Astro* & !pictures@",),
    "query_int": ("1&(2|3)",),
    "seg": ("1.5(+-)0.2", "<7"),
}
BUILT_IN = {
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "bit(5)": ("10101",),
    "bit varying": ("", "1110001"),
    "boolean": ("true", "false"),
    "box": ("(1,1),(0,0)",),
    "bytea": ("\\x00ff0027225c00", "\\x"),
    '"char"': ("\\001", "x"),
    "char(4)": ("a",),
    "cidr": ("10.0.0.0/8", "2001:db8::/32"),
    "circle": ("<(1,2),3>",),
    "date": ("infinity", "4713-01-01 BC", "5874897-12-31"),
    "double precision": ("NaN", "-Infinity", "1e-307", "0.1", "-0"),
    "inet": ("192.168.0.1/24",),
    "int4multirange": ("{[1,3),[7,)}", "{}"),
    "int4range": ("[1,5)", "empty", "(,)"),
    "interval": ("-178000000 years", "1 mon -1 day 00:00:00.000001"),
    "json": ('{"a": 1, "a": 2}', "null"),
    "jsonb": ('{"a": [1, null, "\\u00e9\\\\"]}', "[]"),
    "jsonpath": ('$."a"[*] ? (@ > 1)',),
    "line": ("{1,-1,0}",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "money": ("-92233720368547758.08",),
    "name": ("x",),
    "numeric": ("NaN", "-Infinity", "1e-1000", "123456789012345678901234567890.123456789"),
    "path": ("[(0,0),(1,1)]",),
    "pg_lsn": ("16/B374D848",),
    "point": ("(1.5,-0)",),
    "polygon": ("((0,0),(1,1),(1,0))",),
    "real": ("1e-37", "NaN"),
    "regclass": ("pg_class",),
    "text": ("", "\\.", "\\N", "NULL", "a\tb\nc\r\\d", "😀", "x'--"),
    "time with time zone": ("24:00:00-15:59",),
    "timestamp": ("-infinity", "294276-12-31 23:59:59.999999"),
    "timestamptz": ("4714-11-24 00:00:00+00 BC",),
    "tsquery": ("'fat' & !'rat':*",),
    "tstzrange": ("[2020-01-01,infinity)",),
    "tsvector": ("'a':1A 'b c':2",),
    "uuid": ("00000000-0000-0000-0000-000000000000",),
    "xml": ("<a b='c'>d</a>",),
}


def fill(url: str) -> None:
    """Fill an empty database, as a superuser."""
    with psycopg.connect(url, autocommit=True) as connection:
        for role in ('"Mr. Owner"', "awkward_reader"):
            connection.execute(
                f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN END $$".encode()
            )
        for name in EXTENSIONS:
            connection.execute(f"CREATE EXTENSION {name}".encode())
        for number, (kind, values) in enumerate({**TYPES, **BUILT_IN}.items()):
            array = "" if kind == '"char"' else f", many {kind}[]"
            table = f"type_{number}"
            connection.execute(f"CREATE TABLE {table} (one {kind}{array})".encode())
            connection.execute(f"INSERT INTO {table} DEFAULT VALUES".encode())
            for value in values:
                literal = sql.Literal(value).as_string(connection)
                more = f", ARRAY[{literal}::{kind}, NULL]" if array else ""
                connection.execute(f"INSERT INTO {table} SELECT {literal}::{kind}{more}".encode())
        for statement in statements.split(_SQL.read_text("utf-8")):
            connection.execute(statement.text.encode())
