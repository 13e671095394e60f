"""Hosts, gateways and keys that are wrong, engines and programs that are missing: told in one line, nothing changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sshd
from tests.support.docker.deployed import Small, small
from tests.support.docker.refused import check
from tests.support.places import place
from tests.support.sshd import Sshd

pytestmark = pytest.mark.usefixtures("docker_engine")
TARGET = 'target = "compose"\n'


@pytest.fixture(scope="module")
def fresh(docker_engine: None) -> Iterator[Small]:
    """Give an application that was never deployed."""
    with place() as base, small(base) as made:
        yield made


@pytest.fixture
def app(fresh: Small) -> Iterator[Small]:
    """Give the same application, as it was after the test."""
    before = fresh.git("rev-parse", "HEAD")
    yield fresh
    fresh.git("reset", "--quiet", "--hard", before)


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with sshd.running() as running:
        yield running


def on(app: Small, server: Sshd, **keys: str) -> None:
    """Let the environment run on a server that is reached over SSH."""
    usual = {
        "hosts": json.dumps([server.address]),
        "host_keys": f'{{ "{server.name}" = "{server.fingerprint}" }}',
        "ssh_key": f'"file:{server.key}"',
    }
    lines = [f"{key} = {value}" for key, value in {**usual, **keys}.items() if value]
    app.edit("ops.toml", TARGET, TARGET + "\n".join(lines) + "\n")
    app.commit("on a host")


def test_host_or_gateway_that_does_not_answer_is_told(app: Small, server: Sshd) -> None:
    on(app, server, gateway='"root@127.0.0.1:1"')
    check(app, app.deploy(), 4, "127.0.0.1:1")


@pytest.mark.parametrize(
    ("pinned", "words"),
    [("", "SHA256:"), ("SHA256:x", "SHA256:")],
    ids=["unknown", "changed"],
)
def test_key_of_a_host_that_is_unknown_or_changed_is_refused(
    app: Small, server: Sshd, pinned: str, words: str
) -> None:
    other = f'{{ "{server.name}" = "{server.fingerprint[:-4]}aaaa" }}' if pinned else ""
    on(app, server, host_keys=other)
    check(app, app.deploy(HOME=str(app.base)), 5, server.name, words)


def test_key_that_the_host_does_not_let_in_is_refused(app: Small, server: Sshd) -> None:
    sshd.make_key(app.base / "stranger")
    on(app, server, ssh_key=f'"file:{app.base / "stranger"}"')
    check(app, app.deploy(), 5, server.name)


def tools(folder: Path, *left_out: str) -> str:
    """Return a PATH with the programs of this machine but those, in a folder of links."""
    folder.mkdir()
    for each in os.environ["PATH"].split(os.pathsep):
        for program in Path(each).glob("*") if Path(each).is_dir() else ():
            link = folder / program.name
            if program.name not in left_out and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def test_docker_that_is_missing_here_is_told(app: Small, tmp_path: Path) -> None:
    ran = app.deploy(PATH=tools(tmp_path / "bin", "docker"))
    check(app, ran, 2, "docker")


def test_engine_that_does_not_answer_here_is_told(app: Small, tmp_path: Path) -> None:
    ran = app.deploy(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert ran.code in (1, 4), ran.text
    check(app, ran, ran.code, "engine does not answer")


def test_docker_that_is_missing_on_a_host_is_told(app: Small, tmp_path: Path) -> None:
    bare = tools(tmp_path / "bare", "docker")
    with sshd.running(extra=f"SetEnv PATH={bare}\n") as host:
        on(app, host)
        check(app, app.deploy(), 2, host.name, "docker", "inv setup.server")
