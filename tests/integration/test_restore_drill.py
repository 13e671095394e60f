"""The restore drill of docs/backup.md works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT, clean_variables
from tests.support.project import Project

pytestmark = pytest.mark.integration


def drill() -> str:
    page = (ROOT / "docs" / "backup.md").read_text()
    found = re.search(r"### The drill\n.*?```sh\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def test_the_drill_of_the_manual_works_word_by_word(tiny: Project, tmp_path: Path) -> None:
    tiny.deployed()
    before = tiny.query("SELECT * FROM orders ORDER BY 1")
    command = tmp_path / "inv"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops.program "$@"\n')
    command.chmod(0o755)
    variables = {**clean_variables(), "OPS_HOME": str(tiny.base), **tiny.variables}
    variables["PATH"] = f"{tmp_path}:{variables['PATH']}"
    script = drill().replace(
        "local", tiny.environment
    )  # the environment's name is all that differs
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tiny.folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "is PASSED at level full" in ran.stdout
    assert tiny.query("SELECT * FROM orders ORDER BY 1") == before
    assert tiny.get("/health").status == 200, "the application has connected again"
    databases = {name for (name,) in tiny.query("SELECT datname FROM pg_database")}
    assert "drill" in databases
    assert [name for name in databases if "_before_" in name]
    assert not [name for name in databases if "_restoring_" in name]
