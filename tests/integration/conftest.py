"""Applications to deploy; they share a home, so what is expensive is installed and built once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support import forks
from tests.support.docker.engine import running
from tests.support.project import Project, Ran, place, project

LONG = (
    *("test_compose_bake", "test_compose_changes", "test_compose_hosts", "test_compose_registry"),
    *("test_compose_releases", "test_compose_waves", "test_deploy_releases", "test_load"),
    *("test_server_daemon", "test_server_setup"),
)
"""Many deploys; measured each of their commands would take half as long again."""


REAL = (
    *("test_backup_running", "test_compose_deploy", "test_deploy_secrets", "test_deploy_shop"),
    "test_services_logs",
)
"""Each command is a new process: its memory, arguments, variables or signals matter, or everything at least once."""


@pytest.fixture(scope="module", autouse=True)
def _commands(request: pytest.FixtureRequest) -> Iterator[None]:
    """Say how the tests of a module run commands, and whether coverage measures them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.stem in LONG:
            patch.setenv("COVERAGE_PROCESS_CONFIG", "")
        if request.path.stem in REAL:
            patch.setattr(forks, "PRELOADED", ())
        yield


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    require("haproxy", "haproxy", "/usr/sbin")
    require("pg_ctl", "postgresql", "/usr/lib/postgresql/*/bin")
    with place() as home:
        yield home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that need Docker more time: the first of them builds images."""
    for item in items:
        if "docker_engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """Say that a test needs Docker; an engine that was started for the tests stops after the last."""
    with running():
        yield


@dataclass(frozen=True)
class First:
    """The sample's first deploy, on an empty home."""

    shop: Project
    release: str
    ran: Ran


@pytest.fixture(scope="session")
def first(shared_home: Path) -> Iterator[First]:
    """The sample stays deployed, so that its environment and build are never superfluous."""
    require("npm", "npm")
    with project("shop", shared_home) as shop:
        ran = shop.deploy()
        assert ran.code == 0, ran.text
        yield First(shop, shop.git("rev-parse", "HEAD")[:12], ran)


@pytest.fixture
def shop(shared_home: Path, first: First) -> Iterator[Project]:
    """The sample in an environment of its own, not deployed yet; environment and build are there."""
    with project("shop", shared_home) as made:
        yield made


@pytest.fixture
def tiny(shared_home: Path) -> Iterator[Project]:
    """The smallest application, not deployed yet."""
    with project("tiny", shared_home) as made:
        yield made
