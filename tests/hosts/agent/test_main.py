from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.hosts import agent_file
from ops.hosts.agent.errors import KINDS, Refused


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as `setup.server` leaves it on a host."""
    file = tmp_path_factory.mktemp("agent") / "agent.zip"
    file.write_bytes(agent_file.content(compiled=False))
    return file


def run(archive: Path, verb: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run one verb of it, as a timer on the host does."""
    return subprocess.run(
        [sys.executable, "-I", str(archive), verb], input=data, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    ("verb", "data", "kind", "words"),
    [
        ("nonsense", b"{}\n", "config", "no verb 'nonsense'"),
        ("survey", b"", "config", "got no JSON object"),
        ("survey", b"no json\n", "config", "got no JSON object"),
        ("survey", b"[]\n", "config", "got no JSON object"),
        ("survey", b"{}\n", "config", "not an absolute path"),
    ],
)
def test_bad_input_is_answered_and_not_met_with_a_traceback(
    archive: Path, verb: str, data: bytes, kind: str, words: str
) -> None:
    result = run(archive, verb, data)
    told: dict[str, Any] = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, b"")
    assert set(told) == {"ok", "kind", "what", "why", "hint"}
    assert (told["ok"], told["kind"]) == (False, kind)
    assert words in told["what"]


def test_what_nobody_expected_is_answered_and_its_traceback_is_on_standard_error(
    archive: Path,
) -> None:
    result = run(archive, "lease.acquire", b'{"base": "/tmp"}\n')
    told = json.loads(result.stdout)
    assert told["kind"] == "failed"
    assert told["why"] == "KeyError: 'owner'"
    assert result.stderr.startswith(b"Traceback")


def test_refusal_says_everything() -> None:
    refused = Refused("busy", "what", "why", "hint")
    assert refused.answer() == {
        "ok": False,
        "kind": "busy",
        "what": "what",
        "why": "why",
        "hint": "hint",
    }
    assert refused.kind in KINDS
