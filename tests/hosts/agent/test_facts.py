from __future__ import annotations

import json
import platform
import time
from pathlib import Path

import pytest

from ops.hosts.agent import facts
from ops.hosts.agent.errors import Refused

OWNER = {"application": "shop", "environment": "staging"}


def place(folder: Path) -> dict[str, object]:
    return {"base": str(folder / "base"), "owner": OWNER}


def program(folder: Path, text: str) -> None:
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_facts_of_the_host_are_told(tmp_path: Path) -> None:
    told = facts.found(place(tmp_path))
    assert told["python"] == platform.python_version()
    assert 0 < told["free"] <= told["total"]
    assert abs(told["now"] - time.time()) < 60
    assert told["claimed"] is False
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    "text",
    [
        'case "$1" in info) echo "server 26.1.5 /";; compose) echo 2.26.1;; esac',
        """[ "$1" = info ] && printf 'server 26.1.5 /\nbuildx v0.13.1\ncompose v2.26.1\n'""",
    ],
)
def test_versions_of_docker_and_compose_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    program(tmp_path, text)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = facts.found(place(tmp_path))
    assert told["docker"] == {"version": "26.1.5", "why": ""}
    assert told["compose"] == {"version": "2.26.1", "why": ""}


@pytest.mark.parametrize(
    ("text", "docker", "compose"),
    [
        (None, "docker is not installed", "docker is not installed"),
        ("echo >&2 'daemon is not running'; exit 1", *["daemon is not running"] * 2),
        ("exit 3", "exit code 3", "exit code 3"),
        ("[ $1 = info ]", "exit code 0", "exit code 1"),
        # Docker 26 without its engine, and without Compose.
        (
            'case "$1" in info) echo "server  "; echo "buildx 0.13.1";; *) echo >&2 "no $1"; exit 1;; esac',
            *("no version", "no compose"),
        ),
    ],
)
def test_tool_that_does_not_answer_is_told_with_the_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    docker: str,
    compose: str,
) -> None:
    if text is not None:
        program(tmp_path, text)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = facts.found(place(tmp_path))
    assert told["docker"] == {"version": "", "why": docker}
    assert told["compose"] == {"version": "", "why": compose}


def test_tool_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(facts, "LIMIT", 0.2)
    assert "did not answer within" in facts.found(place(tmp_path))["docker"]["why"]


def test_folder_of_another_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    owner = tmp_path / "base" / "owner.json"
    owner.write_text(json.dumps(OWNER))
    assert facts.found(place(tmp_path))["claimed"] is True
    owner.write_text(json.dumps({**OWNER, "application": "blog"}))
    with pytest.raises(Refused, match="belongs to somebody else") as caught:
        facts.found(place(tmp_path))
    assert "base_folder" in caught.value.hint
