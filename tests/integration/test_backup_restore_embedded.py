"""A restore in the place of the embedded server's database, while the application serves."""

from __future__ import annotations

import re

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.integration


def test_application_goes_on_with_the_restored_data(tiny: Project) -> None:
    tiny.deployed()
    tiny.query("INSERT INTO orders (item) VALUES ('kept')")
    taken = tiny.run("backup", "--format", "json")
    assert taken.code == 0, taken.text
    id = taken.json["results"]["backup"]["id"]
    before = tiny.query("SELECT item FROM orders ORDER BY id")
    tiny.query("INSERT INTO orders (item) VALUES ('too much')")
    proved = tiny.run("backup.verify", "--full", "--format", "json")
    assert (proved.code, proved.json["verdict"]) == (0, "PASSED"), proved.text
    ran = tiny.run("backup.restore", "--id", id, "--replace", "--yes", "--format", "json")
    assert ran.code == 0, ran.text
    assert tiny.query("SELECT item FROM orders ORDER BY id") == before
    # Its owner goes on as before, and a second deploy finds its migrations.
    tiny.query("INSERT INTO orders (item) VALUES ('more')")
    assert tiny.get("/health").status == 200
    assert "nothing to change" in tiny.deploy().text
    beside = tiny.run("backup.restore", "--id", id)
    assert beside.code == 0, beside.text
    # In CI the report has a longer fact, the audit's head, so the columns are wider there.
    shown = (
        rf"url +postgresql://tiny_{tiny.environment}@/tiny_{tiny.environment}_restored_{id[-6:]}\?"
    )
    assert re.search(shown, beside.out), beside.text
