"""What the tests of this machine's adapters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.local import Project, project


@pytest.fixture
def made() -> Iterator[Project]:
    """A project without daemon and without an application."""
    with project() as one:
        yield one
