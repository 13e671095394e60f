"""No file names a package registry's host or a folder of the machine it was written on."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from tests.architecture.sources import ROOT

ANYWHERE = {
    Path(name) for name in ("/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp")
}


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files of the repository, also those not committed yet."""
    names = output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return tuple(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def registries() -> set[str]:
    """Return the hosts that this machine takes packages from."""
    hosts = {PyPI.netloc, PyPI.file_storage_domain}
    if npm := shutil.which("npm"):
        hosts.add(output(npm, "config", "get", "registry").split("/")[2])
    for source in Path("/etc/apt").glob("sources.list*"):
        files = source.iterdir() if source.is_dir() else [source]
        for file in files:
            hosts.update(re.findall(r"https?://([^/\s]+)", file.read_text(encoding="utf-8")))
    return {host for host in hosts if "." in host}


@pytest.fixture(scope="module")
def contents() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_bytes().decode(errors="replace")
        for path in tracked()
    }


def test_no_file_names_a_registry(contents: dict[str, str]) -> None:
    hosts = registries()
    found = [f"{name}: {host}" for name, text in contents.items() for host in hosts if host in text]
    assert not found


def test_no_file_names_a_folder_of_this_machine(contents: dict[str, str]) -> None:
    folders = [f"{path}/" for path in (ROOT, ROOT.parent) if path not in ANYWHERE]
    found = [
        f"{name}: {each}" for name, text in contents.items() for each in folders if each in text
    ]
    assert not found
