"""Who may deploy what: refused before anything changes, overridden with a reason, promoted without a build."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.docker.staged import production_of, watched_docker
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")

NO_CI = {"CI": "", "GITHUB_ACTIONS": "", "GITLAB_CI": ""}
POLICY = """
[environments.{name}.policy]
ci_only = true
branch = "main"
clean = true
after = "{staging}"
freeze = ["2020-01-01T00:00/2020-01-02T00:00"]
"""


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with place() as made:
        yield made


@pytest.fixture(scope="module")
def staging(base: Path, docker_engine: None) -> Iterator[Small]:
    with small(base) as made:
        yield made


@pytest.fixture(scope="module")
def production(staging: Small) -> Iterator[Small]:
    with production_of(staging, POLICY) as made:
        yield made


def test_every_broken_rule_is_one_line_and_nothing_changes(
    staging: Small, production: Small
) -> None:
    staging.git("switch", "--quiet", "--create", "other")
    production.put("new-file", "")
    release = production.commit("on another branch")
    production.put("newer-file", "")
    try:
        ran = production.deploy(**NO_CI)
        assert ran.code == 5, ran.text
        for words in (
            f"only CI changes {production.environment} (ci_only)",
            f"{release} is not on branch main (branch)",
            "there is work that is not committed (clean)",
            f"{release} has not passed {staging.environment}: it was not deployed there (after)",
        ):
            assert words in ran.err
        assert "(freeze)" not in ran.err
        assert f'inv deploy --env {production.environment} --override "reason"' in ran.err
        assert production.containers() == {}
        empty = production.deploy("--override", " ", **NO_CI)
        assert empty.code == 3 and "--override needs a reason" in empty.err
        dry = production.deploy("--dry-run", "--override", "a look", CI="true")
        assert dry.code == 10 and "overridden (a look)" in dry.out, dry.text
        assert "Build the images" in dry.out
    finally:
        (production.folder / "newer-file").unlink()
        staging.git("switch", "--quiet", "main")


def test_what_passed_staging_runs_in_production_without_a_build(
    staging: Small, production: Small, tmp_path: Path
) -> None:
    release = staging.deployed_one()
    variables, log = watched_docker(tmp_path)
    ran = production.deploy(CI="true", **variables)
    assert ran.code == 0, ran.text
    assert f"from {staging.environment}" in ran.err
    asked = log.read_text().split()
    assert "tag" in asked and not {"build", "push", "pull"} & set(asked)
    assert production.version() == staging.version() == release
    assert _image(production) == _image(staging)


def test_reason_stays_in_the_audit_trail_and_in_the_run(production: Small) -> None:
    release = production.release()
    ran = production.deploy("--override", "payment is down", CI="true")
    assert ran.code == 0, ran.text
    assert production.version() == release
    rows = production.json("audit.list")["records"]
    first, *_ = [each for each in rows if each["action"] == "deploy"]
    assert first["details"]["override"]["reason"] == "payment is down"
    assert [each["rule"] for each in first["details"]["override"]["rules"]] == ["after"]
    refused = production.run("rollback", **NO_CI)
    assert refused.code == 5 and "(ci_only)" in refused.err and "(after)" not in refused.err
    assert production.version() == release


def _image(site: Small) -> str:
    containers = [each["ID"] for name, each in site.containers().items() if name.startswith("web-")]
    found = json.loads(docker("inspect", *containers))
    (image,) = {each["Image"] for each in found if each["State"]["Running"]}
    return str(image)
