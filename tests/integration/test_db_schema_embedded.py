"""`inv db.schema` of a deployed environment on the embedded server."""

from __future__ import annotations

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.integration


def test_deployed_environment_agrees_until_a_migration_or_a_hand_changes_it(tiny: Project) -> None:
    tiny.deployed()
    ran = tiny.run("db.schema")
    assert ran.code == 0, ran.text
    assert "migrations and the live database agree: " in ran.out

    tiny.put("db/20990101000000_more.sql", "CREATE TABLE more (id int);\n")
    tiny.query("CREATE TABLE by_hand (id int)")
    ran = tiny.run("db.schema", "--format", "json")
    assert ran.code == 1
    (comparison,) = ran.json["comparisons"]
    assert [each["object"] for each in comparison["differences"]] == ["table public.by_hand"]
    assert ran.json["pending"] == ["20990101000000"]
