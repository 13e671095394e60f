"""Another ops.toml with the same code is a change, and what git has decides what is deployed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project, free_port, project
from tests.support.steady import unchanged

SECRETS = 'stop_timeout = "5s"\nsecrets = {{ GREETING = "file:{path}" }}'
SECOND = """
[services.second]
command = "python3 app.py {port} second"
port = 8301
route = ["/second"]
health = "/health"
stop_timeout = "5s"

[database]
"""


@pytest.fixture(scope="module")
def served(shared_home: Path) -> Iterator[Project]:
    with project("tiny", shared_home) as tiny:
        tiny.deployed()
        yield tiny


def deployed_again(tiny: Project, release: str) -> None:
    """Deploy a change of ops.toml only, then nothing."""
    assert tiny.deployed() == release
    assert "nothing to change" in tiny.deploy().out


def test_environment_value_is_a_change(served: Project) -> None:
    release = served.routed()
    served.put(
        "ops.toml", (served.folder / "ops.toml").read_text() + 'environment.GREETING = "hello"\n'
    )
    deployed_again(served, release)
    assert served.get("/health").json["greeting"] == "hello"


def test_new_service_and_route_reload_the_proxy(served: Project) -> None:
    release = served.routed()
    served.edit("ops.toml", "[database]\n", SECOND)
    deployed_again(served, release)
    assert served.get("/second").json["service"] == ["second"]
    assert served.get("/first").json["service"] == []


def test_rotated_secret_is_a_change(served: Project, tmp_path: Path) -> None:
    release = served.routed()
    secret = tmp_path / "greeting"
    secret.touch(mode=0o600)
    secret.write_text("good morning")
    served.edit("ops.toml", 'stop_timeout = "5s"', SECRETS.format(path=secret))
    deployed_again(served, release)
    secret.write_text("good evening")
    deployed_again(served, release)
    text = (served.folder / "ops.toml").read_text()
    served.put("ops.toml", text.replace(f'\nsecrets = {{ GREETING = "file:{secret}" }}', ""))


def test_other_port_of_the_proxy_is_a_change(served: Project) -> None:
    release, old = served.routed(), served.port
    served.port = free_port()
    served.edit("ops.toml", f"port = {old}", f"port = {served.port}")
    deployed_again(served, release)
    assert served.get("/health").json["version"] == release
    with socket.create_server(("127.0.0.1", old)):
        pass


def test_failed_change_of_ops_toml_is_taken_back_as_a_whole(served: Project) -> None:
    served.commit("what is deployed")
    served.deployed()
    with unchanged(served):
        served.edit("ops.toml", 'live = "/live"', 'live = "/live"\nroute = ["/"]\nbuild = ["true"]')
        served.edit("ops.toml", "[database]\n", '[hooks]\nafter_switch = ["false"]\n\n[database]\n')
        assert served.deploy().code == 1
        assert served.last_run() == "undone"
    assert "nothing to change" in served.deploy().out


def test_uncommitted_work_is_deployed_only_where_that_is_allowed(served: Project) -> None:
    served.edit("app.py", "with its release", "with the release")
    served.put("new.txt", "new")
    head = served.git("rev-parse", "HEAD")[:12]
    ran = served.deploy("--dry-run")
    assert "uncommitted changes of the working tree" in ran.text or "nothing" in ran.text
    served.edit("ops.toml", f"port = {served.port}", f"port = {served.port}\nworking_tree = true")
    release = served.deployed()
    assert release.startswith(f"{head}+")
    assert (served.own / "releases" / release / "app" / "new.txt").read_text() == "new"
    assert "nothing to change" in served.deploy().out
    assert served.git("status", "--porcelain").split() == [
        "M",
        "app.py",
        "M",
        "ops.toml",
        "??",
        "new.txt",
    ]
    served.edit("app.py", "with the release", "with one release")
    other = served.deployed()
    assert other.startswith(f"{head}+") and other != release


def test_tag_and_older_commit(served: Project) -> None:
    served.git("stash", "--include-untracked", "--quiet")
    first = served.git("rev-list", "--max-parents=0", "HEAD")
    served.git("tag", "v1", first)
    assert served.deployed("--ref", "v1") == first[:12]
    assert "nothing to change" in served.deploy("--ref", first[:9]).out
    newer = served.deployed("--ref", "main")
    assert newer == served.git("rev-parse", "HEAD")[:12]


@pytest.mark.parametrize(
    "ref", ["nowhere", "v9", "-rf", "--upload-pack=touch", "main:app.py", "a b", "'"]
)
def test_bad_ref(served: Project, ref: str) -> None:
    runs = (served.folder / ".ops" / "state.db").read_bytes()
    ran = served.deploy(f"--ref={ref}")
    assert ran.code == 3
    assert ran.text.count("error:") == 1 and ref in ran.text
    assert len(ran.text.splitlines()) <= 3
    assert (served.folder / ".ops" / "state.db").read_bytes() == runs


def test_not_a_repository(tiny: Project) -> None:
    (tiny.folder / ".git").rename(tiny.folder / "elsewhere")
    ran = tiny.deploy()
    assert ran.code == 3
    assert f"{tiny.folder} is not a git repository" in ran.text


def test_no_commit_yet(tiny: Project) -> None:
    tiny.git("update-ref", "-d", "HEAD")
    ran = tiny.deploy()
    assert ran.code == 3
    assert "there is no commit" in ran.text


def test_no_git_on_path(tiny: Project, tmp_path: Path) -> None:
    ran = tiny.deploy(PATH=str(tmp_path))
    assert ran.code == 2
    assert "git" in ran.text and len(ran.text.splitlines()) <= 3
