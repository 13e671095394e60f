"""What all tests share."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import NoReturn

import coverage
import pytest

FOLDERS = Path(__file__).parent
# Variables that change what a task does: a test sets those it means.
OWN_VARIABLES = (
    "DATABASE_URL",
    "DRY_RUN",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "NO_COLOR",
    "REDIS_URL",
    "SAFE_MODE",
)
OWN_PREFIXES = ("OPS_", "SUPABASE_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests below integration/ and faults/ by their folder."""
    for item in items:
        folder = item.path.relative_to(FOLDERS).parts[0]
        if folder in ("integration", "faults"):
            item.add_marker(folder)


def pytest_sessionfinish() -> None:
    """Write down what was covered: a process of pytest-xdist that needs long to end is killed, and with it its data."""
    if measuring := coverage.Coverage.current():
        with warnings.catch_warnings(action="ignore"):  # that there is nothing to write
            measuring.save()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(OWN_PREFIXES) or name in OWN_VARIABLES:
            monkeypatch.delenv(name)


def require(tool: str, package: str, *folders: str) -> Path:
    """Return a program that the test needs; without it the test fails in CI and is skipped elsewhere.

    Args:
        tool: Name of the program.
        package: Debian package that has it.
        folders: Patterns of folders to look in beside PATH, e.g. "/usr/lib/postgresql/*/bin".
    """
    found = shutil.which(tool)
    places = [Path(found)] if found else []
    for folder in folders:
        places += sorted(Path("/").glob(f"{folder.lstrip('/')}/{tool}"))[-1:]
    if not places:
        lacking(f"{tool} is missing: apt-get install {package}, or inv test --install")
    return places[0]


def lacking(message: str) -> NoReturn:
    """End a test whose component is missing: it fails in CI and is skipped elsewhere."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)
