"""The images of the tests: built once from Debian's packages, again only when a recipe changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docker import images
from tests.support.docker.engine import complaint, docker, running


def test_engine_answers_with_compose_and_buildx(docker_engine: None) -> None:
    assert not complaint()
    assert docker("compose", "version", "--short").startswith("2.")
    assert docker("buildx", "version")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "docker is missing: apt-get install docker.io, or inv test --install"),
        ("exit 1", "plug-in compose is missing: inv test --install"),
        ("[ $1 != version ] && echo v2", "does not answer"),
    ],
)
def test_machine_without_docker_fails_in_ci_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    if script:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///none")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=said), running():
        pass


def test_image_that_is_there_is_not_built_again(
    docker_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = images.image("redis")
    monkeypatch.delattr(images, "build")
    assert images.image.__wrapped__("redis") == tag


def test_tag_follows_the_files_and_all_else_that_a_build_depends_on(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a")
    first = images.digest(tmp_path, "parent")
    assert images.digest(tmp_path, "parent") == first
    assert images.digest(tmp_path, "other") != first
    (tmp_path / "Dockerfile").write_text("FROM b")
    assert images.digest(tmp_path, "parent") != first


def test_build_that_fails_shows_its_output(docker_engine: None, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {images.image('base')}\nRUN echo so sad; exit 3\n")
    with pytest.raises(pytest.fail.Exception, match="so sad"):
        images.build("invops-tests/none", tmp_path, {})
