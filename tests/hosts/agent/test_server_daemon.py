"""Settings of Docker's daemon; a real one takes them in tests/integration/test_server_setup.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ops.hosts.agent import server_daemon as daemon
from ops.hosts.agent.errors import Refused

ON = '{"live-restore": true}'
OWN = {"log-opts": {"max-size": "10m"}, "registry-mirrors": ["http://Zürich:5000"], "mtu": 1400}
AWAY, WITHOUT, WITH = None, ("inactive", False), ("inactive", True)
State = tuple[str, bool] | None


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "docker" / "daemon.json"
    monkeypatch.setattr(daemon, "SETTINGS", found)
    monkeypatch.setattr(daemon, "PID", tmp_path / "docker.pid")
    monkeypatch.setattr(daemon, "TAKE_SECONDS", 0.5)
    found.parent.mkdir()
    return found


def is_(monkeypatch: pytest.MonkeyPatch, state: State, option: str = "") -> None:
    monkeypatch.setattr(daemon, "_state", lambda: state)
    monkeypatch.setattr(daemon, "_option", lambda: option)


@pytest.mark.parametrize(
    ("text", "state", "option", "expected"),
    [
        (None, AWAY, "", "off, there is no such file"),
        (None, WITHOUT, "", "off, there is no such file"),
        ("", WITHOUT, "", "off"),
        ('{"mtu": 1400}', WITHOUT, "", "off"),
        ('{"live-restore": false}', WITH, "", "off"),
        ("{}", WITH, "", "off"),  # of a file that was changed since
        ('\ufeff{"live-restore": true}', WITH, "", ""),
        (ON, AWAY, "", ""),
        (ON, WITHOUT, "", "the daemon has not taken it"),
        (None, WITH, "--live-restore", ""),  # in both places is an error at its start
        (None, WITHOUT, "--live-restore=false", ""),
        ("{}", ("active", False), "", ""),
        ("{}", ("locked", False), "", ""),
    ],
)
def test_what_differs(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    state: State,
    option: str,
    expected: str,
) -> None:
    is_(monkeypatch, state, option)
    if text is not None:
        file.write_text(text, "utf-8")
    assert daemon.differs({}) == expected


@pytest.mark.parametrize(
    ("state", "option", "expected"),
    [
        (AWAY, "", ""),
        (WITHOUT, "", ""),
        (WITH, "--live-restore", ""),
        (("pending", False), "", "it is a node of a swarm"),
        (WITHOUT, "--live-restore=false", "its daemon is started with --live-restore=false"),
    ],
)
def test_why_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, state: State, option: str, expected: str
) -> None:
    is_(monkeypatch, state, option)
    found = daemon.left_out()
    assert found.startswith(expected) and bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"mtu": 1400,\n "debug"}', r"is no JSON: .*line 2 column 9"),
        (b"\xff{}", r"is no JSON: .*decode"),
        (b"[]", "is no JSON object"),
    ],
)
def test_settings_that_are_no_json_are_refused_and_stay(
    file: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    is_(monkeypatch, WITHOUT)
    file.write_bytes(content)
    for act in (daemon.differs, daemon.write):
        with pytest.raises(Refused) as caught:
            act({})
        told = caught.value
        assert told.kind == "config" and str(file) in told.what and str(file) in told.hint
        assert re.search(words, f"{told.what}: {told.why}")
    assert file.read_bytes() == content


def test_settings_of_an_administrator_stay_as_they_are(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_(monkeypatch, AWAY)
    real = file.parent / "managed.json"
    real.write_text(json.dumps({**OWN, "live-restore": False}), "utf-8")
    real.chmod(0o640)
    file.symlink_to(real)
    daemon.write({})
    assert json.loads(real.read_text("utf-8")) == {**OWN, "live-restore": True}
    assert (file.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert "Zürich" in real.read_text("utf-8")
    assert daemon.differs({}) == ""


def test_first_settings_can_be_read_by_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_(monkeypatch, AWAY)
    file.parent.rmdir()
    daemon.write({})
    assert (file.read_text("utf-8"), file.stat().st_mode & 0o777) == (
        '{\n  "live-restore": true\n}\n',
        0o644,
    )


@pytest.mark.parametrize("before", [None, '{"mtu":1400}'])
def test_settings_that_the_daemon_does_not_take_go_back(
    file: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    is_(monkeypatch, WITHOUT)  # it answers, and nobody knows its process
    if before is not None:
        file.write_text(before)
    with pytest.raises(Refused, match="does not take live-restore"):
        daemon.write({})
    assert (file.read_text() if file.exists() else None) == before


def test_process_that_only_has_the_number_of_a_daemon_gets_no_signal(file: Path) -> None:
    daemon.PID.write_text("1")
    assert daemon._daemon() == 0
    assert daemon._option() == ""
