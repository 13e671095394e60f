"""Deploys by a normal user, and by root from a project in root's own 0700 home."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts import home as homes
from ops.hosts import interpreter
from ops.hosts.account import Account
from ops.kernel import settings
from tests.support.project import ROOT, carriers, end, kill_all, place, project

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account("nobody", entry.pw_uid, entry.pw_gid)


@pytest.fixture
def base() -> Iterator[Path]:
    with place() as made:
        yield made


@pytest.fixture
def python(base: Path, nobody: Account) -> Path:
    """An installation that everybody may run, from the same lock as ours."""
    folder = base / "installation"
    subprocess.run([interpreter.find(nobody), "-m", "venv", "--without-pip", folder], check=True)
    made = folder / "bin" / "python"
    lock = ROOT / "requirements" / "invops.txt"
    pip = [sys.executable, "-m", "pip", "--python", str(made), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", str(lock)], check=True)
    shutil.copytree(
        ROOT / "ops", folder / "code" / "ops", ignore=shutil.ignore_patterns("__pycache__")
    )
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "invops.pth").write_text(f"{folder / 'code'}\n")
    return made


@root_only
def test_normal_user_deploys_with_a_home_of_its_own(
    base: Path, python: Path, nobody: Account
) -> None:
    below = base / "user"
    below.mkdir()
    with project("tiny", below / "home", below=below) as tiny:
        for path in (below, *below.rglob("*")):
            os.chown(path, nobody.uid, nobody.gid)
        become = ["setpriv", f"--reuid={nobody.uid}", f"--regid={nobody.gid}", "--clear-groups"]
        tiny.program = [*become, str(python), "-m", "ops.program"]
        tiny.variables = {"HOME": str(below), "TMPDIR": str(base / "user"), "PYTHONPATH": ""}
        release = tiny.deployed()
        assert tiny.get("/health").json["version"] == release
        owners = {process.username() for process in carriers(tiny.base)}
        assert owners == {"nobody"}
        assert "nothing to change" in tiny.deploy().out
        assert (below / "home").stat().st_mode & 0o777 == 0o700
        end(tiny.base)


@root_only
def test_root_deploys_a_project_below_its_own_home() -> None:
    own = Path(tempfile.mkdtemp(prefix="invops-test-", dir=Path("~root").expanduser()))
    with project("tiny", own / "unused", below=own) as tiny:
        tiny.base = homes.of(settings.load(start=tiny.folder, environ={})).path
        tiny.variables = {"OPS_HOME": ""}
        try:
            release = tiny.deployed()
            assert tiny.get("/health").json["version"] == release
            assert tiny.base.parent == homes.SYSTEM_ROOT
            users = {
                each.username() for each in carriers(tiny.base) if each.name() != "supervisord"
            }
            assert users <= {"invops", "root"} and "invops" in users
            assert "nothing to change" in tiny.deploy().out
            end(tiny.base)
        finally:
            kill_all(tiny.base)
            shutil.rmtree(tiny.base, ignore_errors=True)
            shutil.rmtree(own)
