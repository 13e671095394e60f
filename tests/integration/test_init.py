"""`invops init` in a repository that invops has never seen: what it writes, what it says, and that it deploys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel import exits, settings
from tests.setup import layouts
from tests.support.project import APPS, ROOT, Project, free_port, place

_LEFT_OUT = shutil.ignore_patterns(
    "node_modules", "dist", "build", "__pycache__", ".ops", "ops.toml"
)
SAMPLES = {"shop": ROOT / "examples" / "shop", "ledger": APPS / "ledger"}


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """Give a folder without ops.toml and without git."""
    folder = tmp_path / "thing"
    folder.mkdir()
    return Project(folder, tmp_path / "home", "development", 0)


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """Give one of the two applications without its ops.toml, in a repository of its own."""
    with place() as base:
        folder = tmp_path / request.param
        shutil.copytree(SAMPLES[request.param], folder, ignore=_LEFT_OUT)
        made = Project(folder, base, "local", free_port())
        made.git("init", "--quiet", "--initial-branch", "main")
        yield made


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_what_init_writes_deploys_as_it_is(sample: Project) -> None:
    ran = sample.run("init")
    assert ran.code == exits.OK, ran.text
    # Only because other tests deploy on this machine at the same time.
    sample.edit("ops.toml", "port = 8080", f"port = {sample.port}")
    sample.put(".gitignore", ".ops/\n")
    release = sample.commit()
    assert sample.deployed() == release
    health = settings.load(start=sample.folder, environ={}).services
    path = next(each.health for each in health.values() if each.is_web)
    assert release in sample.get(path).text_tail


def test_dry_run_shows_the_file_and_changes_nothing(empty: Project) -> None:
    layouts.make(empty.folder, layouts.FULL_STACK)
    before = snapshot(empty.folder)
    ran = empty.run("init", "--dry-run")
    assert ran.code == exits.DRY_RUN
    assert snapshot(empty.folder) == before
    assert "[services.backend]\n" in ran.out
    assert "docker-compose.yml: db" in ran.out
    assert "left to decide" in ran.out
    assert ran.out.rstrip().splitlines()[-3] == "dry run: nothing was changed"


def test_dry_run_and_run_make_the_same_file(empty: Project) -> None:
    layouts.make(empty.folder, layouts.FULL_STACK)
    planned = empty.run("init", "--dry-run", "--format", "json").json
    ran = empty.run("init", "--format", "json", "--plan", planned["digest"])
    assert ran.code == exits.OK, ran.text
    assert (empty.folder / "ops.toml").read_text() == planned["content"] == ran.json["content"]
    assert {each["found"] for each in ran.json["found"]} >= {"Vite front end", "Alembic migrations"}
    assert ran.json["decide"] == planned["decide"]


def test_second_init_is_refused_in_one_line(empty: Project) -> None:
    assert empty.run("init").code == exits.OK
    before = snapshot(empty.folder)
    ran = empty.run("init")
    assert ran.code == exits.CONFIGURATION
    assert ran.err.splitlines()[0] == "error: ops.toml is there already, nothing was changed"
    assert snapshot(empty.folder) == before


def test_run_is_recorded_and_private(empty: Project) -> None:
    assert empty.run("init").code == exits.OK
    assert (empty.folder / ".ops").stat().st_mode & 0o777 == 0o700
    runs = empty.json("runs.list")["runs"]
    assert [(each["task"], each["state"]) for each in runs] == [("init", "done")]


def test_broken_files_are_named_and_do_not_stop_it(empty: Project) -> None:
    layouts.make(empty.folder, layouts.BROKEN)
    ran = empty.run("init")
    assert ran.code == exits.OK, ran.text
    for place_of in ("docker-compose.yml:3", "package.json:2", "pyproject.toml:1"):
        assert place_of in ran.out
    assert "Traceback" not in ran.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_to_is_a_refusal(empty: Project) -> None:
    empty.folder.chmod(0o500)
    try:
        ran = empty.run("init")
    finally:
        empty.folder.chmod(0o700)
    assert ran.code == exits.PERMISSION
    assert "Traceback" not in ran.text
