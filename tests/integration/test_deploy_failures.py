"""Whatever fails, the old release serves on, the database is as it was, and nothing is left behind."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.support.project import Project, Ran, project
from tests.support.steady import unchanged

BUILD = '[services.pages]\nstatic = "site"\nroute = ["/pages"]\nbuild = ["{command}"]\n\n'
HOOK = '[hooks]\n{place} = ["{command}"]\n\n'
PLACES = ("before_build", "after_build", "before_migrate", "after_migrate", "before_switch")


@pytest.fixture(scope="module")
def served(shared_home: Path) -> Iterator[Project]:
    with project("tiny", shared_home) as tiny:
        tiny.deployed()
        yield tiny


def add(tiny: Project, section: str) -> None:
    tiny.edit("ops.toml", "[database]\n", f"{section}[database]\n")


SHORT = "import sys; from ops.deploy import verify; verify.BOOT = 6"
SHORT += "; from ops.program import main; sys.argv[0] = 'program.py'; main()"
"""The product, except that a release gets only six seconds to become ready."""


def failing(tiny: Project, *said: str, code: int = 1, **variables: str) -> Ran:
    """Commit and deploy what must fail; return what was said, which is one line without a traceback."""
    tiny.commit("broken")
    ran = tiny.deploy(**variables)
    assert ran.code == code, ran.text
    for each in said:
        assert each in ran.text
    assert "Traceback" not in ran.text
    assert tiny.last_run() == "undone"
    return ran


def test_build_fails(served: Project) -> None:
    with unchanged(served):
        served.put("site/index.html", "page")
        add(served, BUILD.format(command="sh -c 'echo the disk is made of cheese; exit 3'"))
        failing(served, "exit code 3", "the disk is made of cheese")


def test_build_makes_nothing(served: Project) -> None:
    with unchanged(served):
        add(served, BUILD.format(command="true"))
        failing(served, "the build of pages made no folder", code=3)


@pytest.mark.parametrize(
    ("lock", "said", "code"),
    [
        ("--no-index\nmissing==1.0\n", "No matching distribution found for missing", 1),
        (None, "the release has no file requirements.txt", 3),
    ],
    ids=["unknown package", "no file"],
)
def test_requirements_are_wrong(served: Project, lock: str | None, said: str, code: int) -> None:
    with unchanged(served):
        served.put("requirements.txt", lock or "")
        served.put(".gitignore", ".ops/\n" if lock else ".ops/\nrequirements.txt\n")
        add(served, '[python]\nrequirements = "requirements.txt"\n\n')
        failing(served, said, code=code)


def test_second_of_two_migrations_fails(served: Project) -> None:
    with unchanged(served):
        served.put("db/2_price.sql", "ALTER TABLE orders ADD COLUMN price int;\n")
        served.put("db/3_bad.sql", "UPDATE orders SET price = 'much';\n")
        failing(served, "3_bad.sql failed", "invalid input syntax")
    assert list((served.own / "backups").glob("*.json")), "the backup stays"


BROKEN = """#!/bin/sh
[ "$1" = --version ] && exec {} --version
echo 'pg_dump: error: out of cheese' >&2
exit 1
"""


def test_backup_fails(served: Project, tmp_path: Path) -> None:
    server = served.query("SHOW server_version")[0][0].split(".")[0]
    tools = Path(f"/usr/lib/postgresql/{server}/bin")
    if not tools.is_dir():
        lacking("this needs Debian's PostgreSQL")
    broken = Path(served.base) / "broken-tools"
    broken.mkdir(mode=0o755)
    for each in tools.iterdir():
        (broken / each.name).symlink_to(each)
    (broken / "pg_dump").unlink()
    (broken / "pg_dump").write_text(BROKEN.format(tools / "pg_dump"))
    (broken / "pg_dump").chmod(0o755)
    dumps = set((served.own / "backups").glob("*"))
    with unchanged(served):
        served.put("db/2_price.sql", "ALTER TABLE orders ADD COLUMN price int;\n")
        path = f"{broken}:/usr/local/bin:/usr/bin:/bin"
        failing(served, "pg_dump failed: out of cheese", PATH=path)
    assert set((served.own / "backups").glob("*")) == dumps


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("crash", "the configuration of the tiny application is broken"),
        ("lie", "it says another, expected"),
        ("unready", "/health answers 503"),
    ],
)
def test_release_does_not_work(served: Project, behaviour: str, said: str) -> None:
    with unchanged(served):
        served.put("behaviour", behaviour)
        served.program, usual = [sys.executable, "-c", SHORT], served.program
        try:
            failing(served, said)
        finally:
            served.program = usual


@pytest.mark.parametrize("place", [*PLACES, "after_switch"])
def test_hook_fails(served: Project, place: str) -> None:
    with unchanged(served):
        add(served, HOOK.format(place=place, command="sh -c 'echo no cheese; exit 7'"))
        failing(served, "exit code 7", "no cheese", place)


def test_new_port_is_taken(served: Project) -> None:
    with unchanged(served), socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        served.edit("ops.toml", f"port = {served.port}", f"port = {port}")
        failing(served, f"port {port} is taken by another program", code=3)


def test_port_is_taken_before_the_first_deploy(tiny: Project) -> None:
    with socket.create_server(("127.0.0.1", tiny.port)):
        ran = tiny.deploy()
    assert ran.code == 3
    assert f"port {tiny.port} is taken by another program" in ran.text
    assert tiny.processes() == {}
    assert tiny.half_made() == []
    assert tiny.json("releases")["releases"] == []


def test_first_deploy_that_fails_leaves_nothing(tiny: Project) -> None:
    tiny.put("behaviour", "crash")
    tiny.commit()
    assert tiny.deploy().code == 1
    assert tiny.processes() == {}
    assert not list((tiny.own / "releases").glob("*"))
    tiny.git("rm", "--quiet", "behaviour")
    tiny.commit()
    tiny.deployed()


def test_old_release_serves_while_a_new_one_fails(served: Project) -> None:
    failed: list[object] = []
    stop = threading.Event()

    def probe() -> None:
        while not stop.wait(0.02):
            try:
                answer = served.get("/health")
            except Exception as error:
                failed.append(error)
            else:
                failed.extend([answer] if answer.status != 200 else [])

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        with unchanged(served):
            add(served, HOOK.format(place="after_switch", command="false"))
            failing(served, "exit code 1")
    finally:
        stop.set()
        thread.join()
    assert failed == []
