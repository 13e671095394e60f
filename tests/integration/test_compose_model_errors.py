"""Compose files that cannot be used are one error of the configuration, in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ops.deploy.compose import files, model
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError
from tests.support.docker.engine import plugins

CONTEXT = Context(settings=None, secrets=None, deadline=Deadline(86_400))  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="module")
def _compose() -> None:
    plugins("compose")


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("services: [", {}, "cannot be used.*yaml: line"),
        ("services: {web: {image: a, nonsense: 1}}", {}, "nonsense"),
        ("services: {web: {image: a, depends_on: [none]}}", {}, "depends on undefined service"),
        ("services: {web: {image: '${NEEDED:?say what}'}}", {}, "say what"),
        ("services: {web: {image: a, env_file: none.env}}", {}, "none.env"),
        ("services: {wed: {image: a}}", {}, "no service web.*did you mean 'wed'"),
        ("services: {web: {image: a, profiles: [x]}, b: {image: b}}", {}, "profile x"),
        ("services: {web: {image: a}}", {"profiles": ["x"]}, "no service .* has profile 'x'"),
        (
            "services: {web: {image: a}, b: {image: b, profiles: [extra]}}",
            {"profiles": ["extar"]},
            "did you mean 'extra'",
        ),
        ("services: {web: {command: a}}", {}, "web.*neither .*image.* build"),
        ("services: {web: {image: a}}", {"files": [Path("none.yaml")]}, "none.yaml"),
        ("services: {web: {image: 'a:${NOBODY}'}}", {}, "uses NOBODY, which is not set"),
        ("services: {web: {build: ./none}}", {}, "web .* is built from .*: none"),
        ("services: {web: {build: .}}", {}, "web .* is built from .*: Dockerfile"),
    ],
)
def test_what_is_wrong_is_one_configuration_error(
    text: str, given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        model.read(CONTEXT, tmp_path, project="p", switched=["web"], **given)
    told = f"{caught.value.what} {caught.value.why} {caught.value.hint}"
    assert "\n" not in told
    assert re.search(message, told), told


def test_a_folder_without_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no configuration file provided"):
        model.read(CONTEXT, tmp_path, project="p")


def test_a_path_that_leaves_the_project_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "releases" / "r1" / "app"
    folder.mkdir(parents=True)
    (folder / "compose.yaml").write_text("services: {web: {image: a, volumes: ['../data:/d']}}")
    found = model.read(CONTEXT, folder, project="p")
    with pytest.raises(ConfigurationError, match="outside of the application's folder"):
        files.place(found, {})
