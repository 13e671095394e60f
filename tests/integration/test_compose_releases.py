"""Releases live on the hosts: the way back from any machine, and what is removed when nothing needs it any more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")
LEFT = "left by a rollback"
"""State of a release that nobody goes back to without naming it."""


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with place() as made:
        yield made


@pytest.fixture(scope="module")
def site(base: Path, docker_engine: None) -> Iterator[Small]:
    """Give an application with two releases, the second one serving; two good ones are kept."""
    with small(base) as made:
        made.edit("ops.toml", "port = ", "keep_releases = 2\nport = ")
        made.put("extra/page.html", "first")
        made.edit(
            "compose.yaml",
            "    stop_grace_period: 10s\n",
            "    stop_grace_period: 10s\n    volumes: [./extra:/extra:ro]\n",
        )
        made.commit("with files")
        made.deployed_one()
        made.put("extra/page.html", "second")
        made.commit("other files")
        made.deployed_one()
        yield made


@pytest.fixture
def elsewhere(site: Small, tmp_path: Path) -> Iterator[Small]:
    """Give another machine's fresh clone of it, which has never deployed anything."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", site.folder, folder], check=True)
    with place() as home:
        yield Small(folder, home, site.environment, site.port)


def states(site: Small) -> dict[str, str]:
    return {each["id"]: each["state"] for each in site.json("releases")["releases"]}


def kept(site: Small) -> set[str]:
    return {path.stem for path in (site.base / "containers" / "releases").glob("*.json")}


def tags(pattern: str) -> set[str]:
    return set(
        docker("image", "ls", "--filter", f"reference={pattern}", "--format", "{{.Tag}}").split()
    )


def files(site: Small) -> set[str]:
    return {path.read_text() for path in (site.base / "containers" / "files").rglob("page.html")}


def test_another_machine_goes_back_without_checkout_build_or_image(
    site: Small, elsewhere: Small
) -> None:
    second = site.version()
    (first,) = kept(site) - {second}
    assert states(elsewhere) == {second: "serves", first: "good"}
    ran = elsewhere.run("rollback")
    assert ran.code == 0, ran.text
    assert site.version() == first
    assert not (elsewhere.own / "releases").exists()
    assert "Build" not in ran.text and "Unpack" not in ran.text
    none = elsewhere.run("rollback")
    assert none.code == 3 and f"there is no release before {first}" in none.err, none.text
    assert elsewhere.run("rollback", "--to", second).code == 0
    assert site.version() == second
    for path in (site.base / "containers" / "releases").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_cold_release_comes_back_as_it_was_deployed(site: Small, elsewhere: Small) -> None:
    second = site.version()
    (first,) = kept(site) - {second}
    names = [f"{site.project}-web-{slot}-1" for slot in ("blue", "green")]
    served = json.loads(docker("inspect", *names))
    idle = next(each for each in served if each["Config"]["Labels"]["invops.release"] == first)
    docker("rm", "--force", idle["Id"])
    elsewhere.put("extra/page.html", "not of that release")
    ran = elsewhere.run("rollback")
    assert ran.code == 0, ran.text
    assert site.version() == first
    web = next(name for name in names if _release_of(name) == first)
    assert docker("exec", web, "cat", "/extra/page.html") == "first"
    assert site.run("rollback", "--to", second).code == 0


def _release_of(container: str) -> str:
    return docker(
        "inspect", "--format", '{{index .Config.Labels "invops.release"}}', container
    ).strip()


def test_image_that_is_gone_is_told_before_anything_changes(site: Small) -> None:
    second = site.version()
    (first,) = kept(site) - {second}
    path = site.base / "containers" / "releases" / f"{first}.json"
    text = path.read_text()
    record = json.loads(text)
    path.write_text(json.dumps({**record, "images": {"web": f"sha256:{'0' * 64}"}}))
    try:
        ran = site.run("rollback")
        assert ran.code == 3, ran.text
        assert "its image is gone: of web on localhost" in ran.err
        named = site.run("rollback", "--to", first)
        assert named.code == 3 and "cannot serve again" in named.err
        assert states(site)[first].startswith("cannot serve again: its image is gone")
    finally:
        path.write_text(text)
    assert site.version() == second


def test_old_releases_go_with_their_images_and_files(site: Small) -> None:
    own, built = f"invops/{site.project}/*", "invops/small-web"
    mine = kept(site)
    docker("tag", "invops/small-web:" + site.version(), f"keep-{site.project}:mine")
    try:
        site.put("extra/page.html", "third")
        site.commit("third")
        third = site.deployed_one()
        assert kept(site) == tags(own) == {third, *(mine & kept(site))}
        assert len(kept(site)) == 2 and third in kept(site)
        (gone,) = mine - kept(site)
        assert gone not in tags(built) and third in tags(built)
        assert not (site.own / "releases" / gone).exists()
        assert files(site) == {"second", "third"}
        assert "nothing to change" in site.deploy().out
        assert tags(f"keep-{site.project}") == {"mine"}
    finally:
        docker("rmi", f"keep-{site.project}:mine")


def test_failed_release_leaves_no_record(site: Small) -> None:
    before = kept(site)
    site.release("crash")
    assert site.deploy().code == 1
    assert kept(site) == before
    site.release("good")


def sequence_before(site: Small, release: str) -> object:
    path = site.base / "containers" / "releases" / f"{release}.json"
    return json.loads(path.read_text())["release"]["after"]


def test_way_back_passes_by_what_a_rollback_left(site: Small, elsewhere: Small) -> None:
    left = site.version()
    assert elsewhere.run("rollback").code == 0
    before = site.version()
    site.put("extra/page.html", "newest")
    site.commit("newest")
    newest = site.deployed_one()
    assert states(elsewhere) == {newest: "serves", left: LEFT, before: "good"}
    elsewhere.program = [sys.executable, "-m", "tests.faults.run"]
    killed = elsewhere.run("rollback", FAULT="kill:step.acted:switch:localhost")
    assert (killed.code, site.version()) == (-signal.SIGKILL, before), killed.text
    ran = elsewhere.run("rollback")
    assert ran.code == 0 and "Record what served" not in ran.text, ran.text
    assert site.version() == before, "what was killed is finished, it goes no further"
    assert states(elsewhere) == {newest: LEFT, left: LEFT, before: "serves"}
    none = elsewhere.run("rollback")
    assert none.code == 3 and f"there is no release before {before}" in none.err, none.text
    assert f"a rollback left {newest}, {left}" in none.err and "--to RELEASE" in none.err

    # With a name both may serve again, and the way back leads to what each took over from.
    assert elsewhere.run("rollback", "--to", left).code == 0
    after = sequence_before(site, newest)
    ran = elsewhere.run("rollback", "--to", newest, FAULT="SIGTERM:step.acted:follow")
    assert (ran.code, site.version()) == (143, left), ran.text
    assert sequence_before(site, newest) == after, "an undone one leaves no trace"
    ran = elsewhere.run("rollback", "--to", newest)
    assert sequence_before(site, newest) != after
    assert ran.code == 0 and f"Record what served before {newest}" in ran.text, ran.text
    docker("rm", "--force", f"{site.project}-invops-proxy-1")
    assert states(elsewhere) == {newest: "good", left: "good", before: "good"}
    assert elsewhere.run("rollback").code == 0
    assert site.version() == newest, "what served last comes first when nothing does"
    assert elsewhere.run("rollback").code == 0
    assert site.version() == left
