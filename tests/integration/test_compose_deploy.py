"""`deploy`, `rollback` and `releases` of containers on the engine of this machine, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.load import Load
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with place() as made:
        yield made


@pytest.fixture
def app(docker_engine: None) -> Iterator[Small]:
    """Give an application that is not deployed, in a place of its own."""
    with place() as base, small(base) as made:
        yield made


@pytest.fixture(scope="module")
def site(base: Path, docker_engine: None) -> Iterator[Small]:
    """Give an application with a release that serves."""
    with small(base) as made:
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def test_dry_run_shows_what_happens_to_each_service_and_makes_nothing(app: Small) -> None:
    ran = app.deploy("--dry-run")
    assert ran.code == 10, ran.text
    for words in ("cache", "started for the first time", "worker", "new copy in slot blue"):
        assert words in ran.out
    assert app.containers() == {}
    assert (
        docker("image", "ls", "--quiet", f"invops/small-web:{app.git('rev-parse', 'HEAD')[:12]}")
        == ""
    )


def test_second_run_changes_nothing(site: Small) -> None:
    before = {name: each["ID"] for name, each in site.containers().items()}
    ran = site.deploy()
    assert (ran.code, "nothing to change" in ran.out) == (0, True), ran.text
    assert {name: each["ID"] for name, each in site.containers().items()} == before


def test_new_versions_and_the_way_back_lose_no_request(site: Small) -> None:
    kept = {name: site.containers()[name]["ID"] for name in ("cache", "db", "invops-proxy")}
    first = site.version()
    with Load("127.0.0.1", site.port, "/", "/slow") as load:
        second = site.release()
        assert site.deploy().code == 0
        assert site.version() == second
        ran = site.run("rollback")
        assert ran.code == 0, ran.text
        assert "web           is warm in slot" in ran.out, ran.out
        assert site.version() == first
    result = load.result()
    assert result.failed == 0, result
    assert result.answered_posts > 0
    assert {name: site.containers()[name]["ID"] for name in kept} == kept
    assert site.serving() == first


def test_version_that_crashes_changes_nothing_and_says_its_last_lines(site: Small) -> None:
    before = site.version()
    site.release("crash")
    with Load("127.0.0.1", site.port, "/", "/slow") as load:
        ran = site.deploy()
    assert ran.code == 1, ran.text
    assert "crashed" in ran.err and "it was told to crash" in ran.err
    assert load.result().failed == 0, load.result()
    assert site.version() == before
    assert site.last_run() == "undone"
    (kept,) = (site.base / "containers" / "evidence").glob("*")
    assert {each.suffix for each in kept.iterdir()} == {".json", ".log"}
    site.release("good")
    assert site.deploy().code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[services.worker]", "[services.werker]", "no service werker"),
        ("container = 8000\n", 'route = ["/"]\n', "or with container"),
        ("[app]", '[compose]\nfiles = ["nothing.yaml"]\n[app]', "nothing.yaml"),
        ("[app]", '[compose]\nprofiles = ["nobody"]\n[app]', "profile 'nobody'"),
        ('MODE = "good"', 'MODE = "${"', ""),
    ],
)
def test_bad_input_is_one_line_before_anything_changes(
    app: Small, old: str, new: str, words: str
) -> None:
    app.edit("ops.toml", old, new)
    app.commit("wrong")
    ran = app.deploy()
    if not words:  # no value of ours is read as Compose's own variables
        assert ran.code == 0, ran.text
        return
    assert ran.code == 3, ran.text
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and words in ran.text, ran.text
    assert app.containers() == {}
