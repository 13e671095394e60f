"""What the fault tests share: the lanes, and the moments of a deploy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.conftest import require
from tests.faults.lanes import Lanes, Moment, moments
from tests.support.docker.engine import running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one process, one after the other, the tests of a file, and all that need Docker: some stop it."""
    for item in items:
        needs_docker = "docker_engine" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("docker" if needs_docker else str(item.path)))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """Say that a test needs Docker; an engine that was started for the tests stops after the last."""
    with running():
        yield


@pytest.fixture(scope="session")
def lanes() -> Iterator[Lanes]:
    """Give lanes with a release that serves; afterwards none has a process left."""
    require("haproxy", "haproxy", "/usr/sbin")
    require("initdb", "postgresql", "/usr/lib/postgresql/*/bin")
    with closing(Lanes()) as made:
        yield made


@pytest.fixture(scope="session")
def later(lanes: Lanes) -> list[Moment]:
    """Return the moments of a deploy of new code with a migration while an old release serves."""
    with lanes.one() as lane:
        lane.change()
        return moments(lane)


def acting(found: list[Moment]) -> list[Moment]:
    """Return the steps among moments, each at its effect."""
    return [each for each in found if each.event == "step.acted"]
