"""Going back, the list of releases, and what is removed."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from tests.support.project import Project

LEFT = "left by a rollback"


def releases(tiny: Project) -> dict[str, str]:
    rows = tiny.json("releases")["releases"]
    return {row["id"]: row["state"] for row in rows}


def changed(tiny: Project, text: str) -> str:
    tiny.put("text", text)
    release = tiny.commit(text)
    assert tiny.deployed() == release
    return release


def test_rollback_and_forward_again(tiny: Project) -> None:
    first = tiny.deployed()
    none = tiny.run("rollback")
    assert none.code == 3
    assert f"there is no release before {first}" in none.text
    second, third = changed(tiny, "second"), changed(tiny, "third")
    assert releases(tiny) == {third: "serves", second: "good", first: "good"}

    back = tiny.run("rollback")
    assert back.code == 0, back.text
    assert tiny.get("/health").json["version"] == second
    assert releases(tiny) == {third: LEFT, second: "serves", first: "good"}

    assert tiny.run("rollback", "--to", first).code == 0
    assert tiny.get("/health").json["version"] == first
    assert "nothing to change" in tiny.run("rollback", "--to", first).out
    assert tiny.run("rollback", "--to", "0123456").code == 3

    assert tiny.deployed() == third
    assert releases(tiny) == {third: "serves", second: LEFT, first: "good"}
    # What served until now comes first when going back from a release that was deployed again.
    assert tiny.deployed("--ref", second) == second
    assert tiny.run("rollback").code == 0
    assert tiny.routed() == third


def test_way_back_passes_by_what_a_rollback_left(tiny: Project) -> None:
    first = tiny.deployed()
    second = changed(tiny, "second")
    assert tiny.run("rollback").code == 0
    third = changed(tiny, "third")
    assert releases(tiny) == {third: "serves", second: LEFT, first: "good"}
    tiny.program = [sys.executable, "-m", "tests.faults.run"]
    assert tiny.run("rollback", FAULT="kill:step.acted:switch").code == -signal.SIGKILL
    assert tiny.routed() == first
    finished = tiny.run("rollback")
    assert finished.code == 0, finished.text
    assert tiny.routed() == first, "what was killed is finished, it goes no further"
    assert releases(tiny) == {third: LEFT, second: LEFT, first: "serves"}
    none = tiny.run("rollback")
    assert none.code == 3
    assert f"there is no release before {first}" in none.text
    assert f"a rollback left {third}, {second}" in none.text
    assert "--to RELEASE" in none.text and "inv releases" in none.text
    # With a name it is allowed, and counts as before.
    assert tiny.run("rollback", "--to", third).code == 0
    assert tiny.run("stop").code == 0
    assert releases(tiny) == {third: "good", second: LEFT, first: "good"}
    assert tiny.run("rollback").code == 0, "what served last comes first when nothing does"
    assert tiny.routed() == third


def test_rollback_to_a_release_that_was_described_differently(tiny: Project) -> None:
    first = tiny.deployed()
    tiny.edit("ops.toml", "[services.web]", "[services.site]")
    second = changed(tiny, "second")
    assert {name.rpartition("-")[2] for name in tiny.processes()} == {"site", "proxy"}
    assert tiny.run("rollback").code == 0
    assert tiny.get("/health").json["version"] == first
    assert {name.rpartition("-")[2] for name in tiny.processes()} == {"web", "proxy"}
    assert tiny.deployed() == second


def records(tiny: Project) -> list[dict[str, Any]]:
    return [json.loads(each.read_text()) for each in tiny.own.glob("releases/*/release.json")]


def test_old_releases_environments_and_builds_are_removed(tiny: Project) -> None:
    """Each release has an environment and a build of its own."""
    tiny.edit("ops.toml", "[database]\n", PAGES)
    tiny.edit("ops.toml", f"port = {tiny.port}", f"port = {tiny.port}\nkeep_releases = 2")
    made, environments, builds = [], [], []
    for number in range(5):
        tiny.put("requirements.txt", f"# {number}\n")
        tiny.put("site/index.html", f"page {number}")
        made.append(changed(tiny, str(number)))
        record = next(each for each in records(tiny) if each["id"] == made[-1])
        environments.append(tiny.home.venvs / record["requirements"])
        builds.append(tiny.home.builds / f"pages-{record['builds']['pages']}")
    assert sorted(each["id"] for each in records(tiny)) == sorted(made[3:])
    assert [each.is_dir() for each in environments] == [False, False, False, True, True]
    # The static files of the release before these may still be asked for.
    assert [each.is_dir() for each in builds] == [False, False, True, True, True]
    assert tiny.get("/pages/").text_tail == "page 4"


def test_what_serves_and_its_predecessor_are_never_removed(tiny: Project) -> None:
    tiny.edit("ops.toml", f"port = {tiny.port}", f"port = {tiny.port}\nkeep_releases = 1")
    tiny.commit("keep one")
    first, second = tiny.deployed(), changed(tiny, "second")
    assert releases(tiny) == {second: "serves", first: "good"}
    assert tiny.run("rollback").code == 0
    third = changed(tiny, "third")
    assert releases(tiny) == {third: "serves", first: "good"}


def test_breaking_migration_forbids_the_way_back(tiny: Project) -> None:
    first = tiny.deployed()
    tiny.put("db/2_drop.sql", "-- invops: breaks-old\nALTER TABLE orders DROP COLUMN item;\n")
    second = changed(tiny, "second")
    backup = tiny.backup_before(second)
    for words in (["rollback"], ["rollback", "--to", first], ["deploy", "--ref", first]):
        ran = tiny.run(*words)
        assert ran.code == 3, ran.text
        assert f"{first} does not work with the database that {second} migrated" in ran.text
        assert backup in ran.text
    assert tiny.routed() == second
    third = changed(tiny, "third")
    assert tiny.run("rollback").code == 0
    assert tiny.routed() == second
    tiny.query("DELETE FROM schema_migrations WHERE version = '2'")
    tiny.query("ALTER TABLE orders ADD COLUMN item text")
    assert tiny.run("rollback", "--to", first).code == 0, "the database was restored"
    assert third != first


def test_failure_after_a_breaking_migration_keeps_the_evidence(tiny: Project) -> None:
    first = tiny.deployed()
    tiny.put("db/2_drop.sql", "-- invops: breaks-old\nALTER TABLE orders DROP COLUMN item;\n")
    tiny.put("behaviour", "crash")
    second = tiny.commit("broken")
    ran = tiny.deploy()
    assert ran.code == 1
    assert "nothing was undone because Apply migrations cannot be undone" in ran.text
    backup = tiny.backup_before(second)
    assert f"inv backup.restore --id {backup} --replace" in ran.text
    assert tiny.last_run() == "stopped"
    assert tiny.get("/health").json["version"] == first
    assert (tiny.own / "releases" / second).is_dir()
    assert tiny.query("SELECT version FROM schema_migrations ORDER BY 1") == [("1",), ("2",)]
    tiny.git("rm", "--quiet", "behaviour")
    fixed = tiny.commit("fixed")
    assert tiny.deployed() == fixed
    assert tiny.run("rollback").code == 3


def test_releases_of_an_environment_without_any(tiny: Project) -> None:
    ran = tiny.run("releases")
    assert ran.code == 0
    assert "has no release yet" in ran.out
    assert tiny.run("rollback").code == 3


PAGES = """
[python]
requirements = "requirements.txt"

[services.pages]
directory = "site"
build = ["mkdir dist", "cp index.html dist"]
static = "dist"
route = ["/pages"]

[database]
"""
