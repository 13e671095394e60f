"""A small project with the real launcher, for the tests of `./inv`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """\
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "cwd": os.getcwd()}))
"""
LIMIT = 120


def locked(*packages: str) -> str:
    """Return the entries of some small packages, as they stand in the tests' lock."""
    text = (ROOT / "requirements/tests.txt").read_text(encoding="utf-8")
    entries = text.replace("\n    --hash", "--hash").splitlines()
    return "\n".join(e.replace("--hash", "\n    --hash") for e in entries if e.startswith(packages))


def make_project(folder: Path) -> Path:
    """Make a project: the real launcher, a lock of one package, a program that tells where it is."""
    (folder / "ops").mkdir(parents=True)
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "inv", folder)
    # A link, so that its coverage is measured; the project is the folder that the link is in.
    (folder / "ops/bootstrap.py").symlink_to(ROOT / "ops/bootstrap.py")
    (folder / "ops/__init__.py").touch()
    (folder / "ops/program.py").write_text(PROGRAM)
    (folder / "requirements/invops.txt").write_text(locked("iniconfig=="))
    return folder.resolve()


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "INVOPS_PYTHON": sys.executable, **changes}


def launch(
    project: Path, *arguments: str, cwd: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(project / "inv"), *arguments],
        cwd=cwd or project,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def answer(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says what is missing."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if "Preparing the environment" not in line]
    assert len(lines) == 1, result.stderr
    return lines[0]
