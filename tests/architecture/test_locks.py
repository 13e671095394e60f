"""The lock files: hashes for everything, no host, and they install on this Python."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LOCKS = [*sorted(ROOT.glob("requirements/*.txt")), *sorted(ROOT.glob("ops/hosts/locks/*.txt"))]
TOOLS = ROOT / "ops/hosts/locks/tools.txt"


def names(lock: Path) -> set[str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0] for line in lines if "==" in line and not line.startswith(" ")}


def pip(*arguments: str) -> None:
    """Run pip's resolution without installing anything, from the machine's own index."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    result = subprocess.run(
        [*command, "--require-hashes", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_holds_pinned_versions_with_hashes_and_nothing_else(lock: Path) -> None:
    entries = lock.read_text(encoding="utf-8").replace(" \\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert "==" in entry.split(" ")[0], entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry
        assert not entry.startswith("-"), entry


def test_runtime_lock_has_each_dependency_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {each.split(">")[0].split("[")[0] for each in project["dependencies"]}
    assert wanted <= names(ROOT / "requirements/invops.txt")


def test_tests_run_with_the_versions_of_the_runtime_lock() -> None:
    def pins(lock: str) -> set[str]:
        lines = (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith(" ")}

    assert pins("invops.txt") <= pins("tests.txt")


@pytest.mark.integration
def test_lock_that_no_session_installs_can_be() -> None:
    pip("-r", str(ROOT / "ops/hosts/locks/static.txt"))


@pytest.mark.integration
@pytest.mark.parametrize("package", sorted(names(TOOLS)))
def test_each_tool_installs_alone(package: str) -> None:
    pip("--no-deps", "-c", str(TOOLS), package)


@pytest.mark.integration
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_runtime_lock_has_wheels_for_each_python(version: str) -> None:
    lock = str(ROOT / "requirements/invops.txt")
    pip("--only-binary", ":all:", "--python-version", version, "-r", lock)
