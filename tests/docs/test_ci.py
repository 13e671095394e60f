"""The CI pipelines: valid for GitHub and GitLab, and every command in them is one of ours."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ops.kernel.task import CHANGING, SHARED
from ops.tasks import collection

ROOT = Path(__file__).parents[2]
GITHUB = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITLAB = ROOT / "docs/ci/gitlab-ci.yml"
EVERY = [*GITHUB, GITLAB]
SHA_OR_MAJOR = re.compile(r"^[\w-]+/[\w./-]+@(v\d+|[0-9a-f]{40})$")


def named(path: Path) -> str:
    return path.name


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return found


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a document, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def commands(path: Path, program: str) -> list[list[str]]:
    """Return the words of each command line that starts a program, also behind `sudo --option`."""
    lines = [line.strip() for text in texts(parsed(path)) for line in text.splitlines()]
    split = [shlex.split(line) for line in lines if program in line and not line.startswith("#")]
    return [words[words.index(program) :] for words in split if program in words]


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_pipeline_is_valid(path: Path) -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    if path == GITLAB:
        schema = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    ran = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_every_task_and_flag_in_it_exists(path: Path) -> None:
    tasks = collection()
    known = {name: task for name in tasks.task_names for task in [tasks[name]]}
    for _, name, *words in commands(path, "./inv"):
        assert name in known, f"{path.name}: inv {name}"
        parameters = {f"--{each.replace('_', '-')}" for each in known[name].help}
        shared = {f"--{each.replace('_', '-')}" for each in (*SHARED, *CHANGING)}
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert flags <= parameters | shared, f"{path.name}: inv {name} {flags}"


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_every_session_of_nox_in_it_exists(path: Path) -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {
        each.name
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
        if any("nox.session" in ast.unparse(decorator) for decorator in each.decorator_list)
    }
    matrices = re.findall(r"\[(tests, .*)\]", path.read_text(encoding="utf-8"))
    tested = [words for words in commands(path, "./inv") if words[1] == "test"]
    asked = {
        value
        for words in tested
        for flag, value in itertools.pairwise(words)
        if flag == "--session" and value.isalpha()
    }
    asked |= {word for matrix in matrices for word in matrix.split(", ")}
    assert asked <= sessions, asked - sessions
    assert asked or not tested


def test_the_pipelines_do_what_a_team_needs() -> None:
    for lines in (
        [line for path in GITHUB for line in texts(parsed(path))],
        list(texts(parsed(GITLAB))),
    ):
        text = "\n".join(lines)
        for words in (
            "inv test --session lint --session types",
            "integration",
            "compose --file docker/compose.yaml build",
            "inv deploy --env staging",
            "inv deploy --env production",
            "--confirm production",
            "inv drift --env",
        ):
            assert words in text, words


@pytest.mark.parametrize("path", GITHUB, ids=named)
def test_workflow_has_few_rights_and_pinned_actions(path: Path) -> None:
    made = parsed(path)
    assert made["permissions"]["contents"] == "read"
    assert set(made["permissions"].values()) <= {"read", "write"}
    assert made["concurrency"]["group"]
    for job in made["jobs"].values():
        assert job["timeout-minutes"] and re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])
        for step in job["steps"]:
            assert SHA_OR_MAJOR.match(step.get("uses", "a/b@v1")), step
            # An expression in a shell command is code of whoever wrote its value: only ids that git made, or our own.
            inside = re.findall(r"\$\{\{ *(.*?) *\}\}", step.get("run", ""))
            assert all(re.match(r"(steps|needs|matrix)\.", each) for each in inside), step


def test_keys_of_aws_are_those_of_a_role() -> None:
    deploy = parsed(ROOT / ".github/workflows/deploy.yml")
    assert deploy["permissions"]["id-token"] == "write"
    assert deploy["concurrency"]["cancel-in-progress"] is False
    for job in deploy["jobs"].values():
        (roles,) = [each["with"] for each in job["steps"] if "aws-actions/" in each.get("uses", "")]
        assert roles["role-to-assume"] == "${{ vars.AWS_ROLE }}"
    template = parsed(GITLAB)[".deploy"]
    assert template["id_tokens"]["AWS_TOKEN"]["aud"] == "https://sts.amazonaws.com"
    assert template["resource_group"] and not template["interruptible"]
    assert all("AWS_SECRET" not in path.read_text(encoding="utf-8") for path in EVERY)
