"""Logs of several services as one text: in order, with prefixes, without what a terminal would obey."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.kernel import redact
from ops.kernel.errors import ConfigurationError
from ops.services import logs
from ops.services.logs import Line, Logs


def written(folder: Path, name: str, text: str, at: float = 0) -> Path:
    path = folder / f"{name}.log"
    path.write_text(text)
    if at:
        os.utime(path, (at, at))
    return path


def last(files: dict[str, list[Path]], lines: int) -> list[Line]:
    with Logs(files) as opened:
        return opened.last(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T10:00:00Z started", 1795255200.0),
        ('{"time": "2026-11-21T10:00:00.250+00:00", "message": "x"}', 1795255200.25),
        ("2026-11-21 10:00:00.5 UTC [7] LOG: ready", 1795255200.5),
        ("2026-11-21 11:00:00,125+01:00 x", 1795255200.125),
        ("2026-11-21T11:00:00+0100 x", 1795255200.0),
        ("INFO:     Started server process", None),
        ("2026-99-99 10:00:00 x", None),
        ("x" * 300 + "2026-11-21T10:00:00Z", None),
    ],
)
def test_time_of_a_line(text: str, expected: float | None) -> None:
    assert logs.moment_of(text) == expected


def test_lines_are_merged_in_the_order_of_time(tmp_path: Path) -> None:
    one = written(tmp_path, "one", "2026-11-21T10:00:01Z a\n  more of a\n2026-11-21T10:00:03Z c\n")
    two = written(tmp_path, "two", "2026-11-21T10:00:02Z b\n2026-11-21T10:00:04Z d\n")
    without = written(tmp_path, "three", "e\nf\n", at=1795255210)
    found = last({"one": [one], "two": [two], "three": [without]}, 50)
    assert [line.text[-1] for line in found] == ["a", "a", "b", "c", "d", "e", "f"]


def test_order_within_a_log_stays_whatever_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, "one", "2026-11-21T10:00:09Z a\n2026-11-21T10:00:01Z b\n")
    assert [line.text[-1] for line in last({"one": [path]}, 50)] == ["a", "b"]


def test_both_slots_are_one_service(tmp_path: Path) -> None:
    blue = written(tmp_path, "blue", "2026-11-21T10:00:01Z a\n2026-11-21T10:00:03Z c\n")
    green = written(tmp_path, "green", "2026-11-21T10:00:02Z b\n")
    found = last({"api": [blue, green]}, 2)
    assert [(line.service, line.text[-1]) for line in found] == [("api", "b"), ("api", "c")]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain", "plain"),
        (b"\x1b[32mgreen\x1b[0m", "green"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b[2J\x1b[Hgone", "gone"),
        (b"a\rb\x00\x07", "ab"),
        (b"\ttab", "        tab"),
        (b"\xff", "\ufffd"),
    ],
)
def test_nothing_reaches_the_terminal_that_it_would_obey(raw: bytes, expected: str) -> None:
    assert logs.clean(raw) == expected


def test_secrets_are_hidden() -> None:
    redact.CENTRAL.add("sentinel-logs-7d1f")
    assert logs.clean(b"token=sentinel-logs-7d1f;") == "token=***;"


@pytest.mark.parametrize(
    ("colours", "expected"), [(False, "api    | text"), (True, "\x1b[33mapi    |\x1b[0m text")]
)
def test_prefix(colours: bool, expected: str) -> None:
    assert logs.shown(Line("api", "text"), 6, ["worker", "api"], colours) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1e3", "9999999", "١٢٣٤٥٦٧"])
def test_number_of_lines_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        logs.count(text)
    assert "--lines" in caught.value.what


def test_number_of_lines() -> None:
    assert (logs.count("0"), logs.count("100000")) == (0, 100_000)
