"""Modules stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LIMIT = 300
FILES = sorted(path for folder in ("ops", "tests") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_has_at_most_300_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LIMIT, f"{path} has {lines} lines: split it"
