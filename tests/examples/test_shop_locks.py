"""The sample's lock files, and the second application's: pinned, with hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "examples/shop/frontend"
LOCKS = [
    ROOT / "examples/shop/backend/requirements.txt",
    ROOT / "tests/integration/apps/ledger/requirements.txt",
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_python_lock_has_pins_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = [line for line in text.replace(" \\\n", " ").splitlines() if line[0] != " "]
    assert entries
    assert "://" not in text
    for entry in entries:
        assert "==" in entry.split(" ")[0] and "--hash=sha256:" in entry, entry


def test_npm_lock_has_hashes_and_no_registry() -> None:
    packages = json.loads((FRONTEND / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    del packages[""]
    assert all("resolved" not in package for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())


@pytest.mark.parametrize("binary", ["@esbuild/{}", "@rollup/rollup-{}"])
@pytest.mark.parametrize("platform", ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"])
def test_npm_lock_has_the_compilers_of_each_platform(binary: str, platform: str) -> None:
    # npm leaves out what the registry did not answer for; the build then breaks on that platform.
    packages = json.loads((FRONTEND / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = f"node_modules/{binary.format(platform)}"
    assert [name for name in packages if name.startswith(wanted)]
