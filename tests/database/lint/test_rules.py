"""Each rule of our own finds what it is for, in the right line, and nothing else."""

from __future__ import annotations

import pytest

from ops.database.lint import access, rules
from ops.database.lint.model import Finding, Script


def found(text: str, *, breaks_old: bool = False, secured: str = "") -> list[Finding]:
    """Return what the rules say about one migration; `secured` is a schema with row level security."""
    script = Script("1_a.sql", text, True, breaks_old)
    schemas = frozenset({secured} - {""}) | access.secured_schemas([script])
    return rules.findings([script], schemas)


def names(text: str, *, breaks_old: bool = False, secured: str = "") -> list[str]:
    return [each.rule for each in found(text, breaks_old=breaks_old, secured=secured)]


BAD = {
    "update-without-where": [
        "UPDATE t SET a = 1",
        'update only "T" as x set a = (select b from u where u.id = x.id) from u',
        "WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x WHERE a = 1",
        "with x as (select 1 where true) update t set a = 1",
        "DO $$ BEGIN IF true THEN UPDATE t SET a = 1; END IF; END $$",
        "do $x$ begin for r in select 1 loop\nupdate t set a = 1;\nend loop; end $x$",
    ],
    "delete-without-where": [
        "DELETE FROM t",
        "delete from t using u /* where */ -- where",
        "INSERT INTO archive WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
        "DO $$ BEGIN DELETE FROM t; EXCEPTION WHEN others THEN DELETE FROM u WHERE a; END $$",
    ],
    "truncate": ["TRUNCATE t", "truncate table only t, u cascade", "DO 'BEGIN TRUNCATE t; END'"],
    "vacuum-full": ["VACUUM FULL t", "vacuum (analyze, full) t", "VACUUM (FULL TRUE)"],
    "cluster": ["CLUSTER t USING i", "cluster verbose"],
    "lock-table": [
        "LOCK t",
        "LOCK TABLE t, u IN SHARE ROW EXCLUSIVE MODE NOWAIT",
        "lock t in exclusive mode",
    ],
    "refresh-not-concurrent": [
        "REFRESH MATERIALIZED VIEW m",
        "refresh materialized view m with no data",
    ],
    "grant-to-everybody": [
        "GRANT SELECT ON t TO anon",
        'grant all privileges on all tables in schema public to "anon", app',
        "GRANT EXECUTE ON FUNCTION f(int) TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT INSERT ON TABLES TO anon",
    ],
    "policy-for-everybody": [
        "CREATE POLICY p ON t USING (true)",
        'create policy "to all" on t for select to authenticated, anon using ((TRUE))',
        "create policy p on t for insert to public with check (true)",
        "alter policy p on t to anon using (true)",
    ],
    "no-row-level-security": [
        "CREATE TABLE a (id int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE TABLE b (id int)",
        'create policy p on public.a using (x = 1); create unlogged table if not exists "B c" ()',
    ],
    "undeclared-break": [
        "DROP TABLE t",
        "drop table if exists t; create table t (id int)",
        "ALTER TABLE t DROP COLUMN a",
        "alter table only t add b int default (1), drop if exists a",
        "ALTER TABLE t RENAME a TO b",
        "ALTER TABLE IF EXISTS t RENAME TO u",
        "ALTER TABLE t SET SCHEMA archive",
        "alter type e rename value 'a' to 'b'",
        "DROP VIEW v",
        "drop materialized view m",
        "DROP FUNCTION f(int)",
        "DO $$ BEGIN ALTER TABLE t DROP a; END $$",
    ],
}
GOOD = [
    "UPDATE t SET a = 1 WHERE id = 2",
    "update t set a = 1 where current of c",
    "DELETE FROM t WHERE true",
    "WITH x AS (DELETE FROM t WHERE id = 1 RETURNING *) UPDATE u SET a = 1 FROM x WHERE x.id = u.id",
    "SELECT * FROM t FOR UPDATE",
    "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
    "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN DO NOTHING",
    "CREATE TRIGGER x AFTER UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON UPDATE CASCADE ON DELETE SET NULL",
    "INSERT INTO notes VALUES ('DELETE FROM t; TRUNCATE t'), (E'it\\'s; UPDATE t SET a = 1')",
    "COMMENT ON TABLE t IS 'DROP TABLE t;'",
    'SELECT 1 AS "; DELETE FROM t;"',
    "/* DELETE FROM t; /* TRUNCATE t; */ DROP TABLE t; */ SELECT 1 -- ; DROP TABLE t",
    "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN DELETE FROM t; TRUNCATE t; END $f$",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'UPDATE t SET a = 1'",
    "CREATE PROCEDURE p() BEGIN ATOMIC DELETE FROM t; UPDATE t SET a = CASE WHEN b THEN 1 END; END",
    "CREATE RULE r AS ON DELETE TO t DO INSTEAD (UPDATE t SET gone = true; DELETE FROM u)",
    "DO $$ BEGIN EXECUTE 'SELECT 1'; UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END WHERE c; END $$",
    "VACUUM t",
    "VACUUM (ANALYZE, FULL false) t",
    "ALTER TABLE t CLUSTER ON i",
    "LOCK TABLE t IN ACCESS SHARE MODE",
    "LOCK t IN ROW EXCLUSIVE MODE",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "GRANT SELECT ON t TO app",
    "GRANT anon TO authenticator",
    "REVOKE ALL ON t FROM anon, public",
    "CREATE POLICY p ON t TO authenticated USING (true)",
    "CREATE POLICY p ON t USING (owner = auth.uid() OR true IS NULL)",
    "ALTER POLICY p ON t RENAME TO q",
    "CREATE TABLE a (id int)",
    "CREATE TABLE a (id int); ALTER TABLE ONLY public.a ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE x ENABLE ROW LEVEL SECURITY; CREATE TEMP TABLE t (id int)",
    "CREATE TABLE t (id int); DROP TABLE t",
    "CREATE TEMPORARY TABLE t AS SELECT 1; ALTER TABLE t DROP COLUMN a; DROP TABLE t",
    "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1",
    "DROP FUNCTION f(int); CREATE OR REPLACE FUNCTION public.f(int) RETURNS int LANGUAGE sql AS 'select 1'",
    "DROP INDEX CONCURRENTLY i",
    "DROP TRIGGER x ON t; DROP POLICY p ON t",
    "ALTER TABLE t DROP CONSTRAINT c, ALTER COLUMN a DROP DEFAULT, ALTER b DROP NOT NULL",
    "ALTER TABLE t RENAME CONSTRAINT a TO b",
    "ALTER INDEX i RENAME TO j",
    "",
    "-- nothing",
]


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in BAD.items() for text in texts]
)
def test_rule_finds_it(rule: str, text: str) -> None:
    assert names(text) == [rule]


@pytest.mark.parametrize("text", GOOD)
def test_rules_leave_it_alone(text: str) -> None:
    assert names(text) == []


def test_line_is_that_of_the_statement_or_of_its_part() -> None:
    text = (
        "-- a\n\nselect 'x\n;y';\nDELETE\nFROM t;\nalter table t\n  add b int,\n  drop a;\n"
        "do $$\nbegin\n  if true then\n    update t set a = 1;\n  end if;\nend $$;"
    )
    assert sorted((each.line, each.rule) for each in found(text)) == [
        (5, "delete-without-where"),
        (9, "undeclared-break"),
        (13, "update-without-where"),
    ]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("grant select on t to anon", "warning"),
        ("grant usage on schema public to anon", "warning"),
        ("grant select, insert on t to anon", "error"),
        ("grant all on t to public", "error"),
        ("create policy p on t for select to anon using (true)", "warning"),
        ("create policy p on t for all to anon using (true)", "error"),
    ],
)
def test_who_only_reads_is_a_warning(text: str, severity: str) -> None:
    (one,) = found(text)
    assert one.severity == severity


def test_declared_break_is_a_warning_where_data_are_lost() -> None:
    text = "alter table t rename a to b; drop table u"
    (one,) = found(text, breaks_old=True)
    assert (one.rule, one.severity) == ("drop", "warning")


def test_row_level_security_counts_by_schema() -> None:
    text = "create table a (id int); create table other.b (id int)"
    assert names(text, secured="other") == ["no-row-level-security"]
    assert names(text, secured="third") == []
