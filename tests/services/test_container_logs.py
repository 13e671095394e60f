from __future__ import annotations

import itertools
import queue
import threading

import pytest

from ops.kernel.errors import StepFailed
from ops.services import container_logs as logs
from ops.services.container_logs import Line

FIRST = b"abc web blue 2026-11-21T20:00:00.000000001Z"
SECOND = b"abc web blue 2026-11-21T20:00:00.000000002Z"


def line(moment: int, text: str = "x") -> Line:
    return Line(f"2026-11-21T20:00:00.{moment:09d}Z", "h", "web", "blue", text)


def test_lines_are_read_whole_whatever_the_pieces() -> None:
    reading = logs._Reading("web1")
    data = (
        FIRST + b" one \xff two\n" + b"abc cache - 2026-11-21T20:00:00.000000002Z\n" + b"no line\n"
    )
    found = [each for n in range(len(data)) for each in reading.taken(data[n : n + 1])]
    assert [(e.host, e.service, e.slot, e.text) for e in found] == [
        ("web1", "web", "blue", "one \ufffd two"),
        ("web1", "cache", "", ""),
    ]


def test_what_was_seen_counts_lines_of_the_same_moment() -> None:
    reading = logs._Reading("web1")
    list(reading.taken(FIRST + b" a\n" + FIRST + b" b\n"))
    assert reading.seen == {"abc": ("2026-11-21T20:00:00.000000001Z", 2)}
    list(reading.taken(SECOND + b" c\n"))
    assert reading.seen == {"abc": ("2026-11-21T20:00:00.000000002Z", 1)}


def test_half_a_line_of_a_broken_connection_is_forgotten() -> None:
    reading = logs._Reading("web1")
    assert not list(reading.taken(FIRST + b" ha"))
    assert not reading.seen
    reading.begun()
    assert [each.text for each in reading.taken(FIRST + b" half\n")] == ["half"]


def test_lines_that_come_close_together_are_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "WINDOW", 0.1)
    coming: queue.Queue[Line | StepFailed] = queue.Queue()
    for moment in (3, 1, 2):
        coming.put(line(moment))
    found = list(itertools.islice(logs._in_order(coming), 3))  # type: ignore[arg-type]
    assert [each.time for each in found] == sorted(each.time for each in found)


def test_refusal_of_a_host_ends_it() -> None:
    coming: queue.Queue[Line | StepFailed] = queue.Queue()
    threading.Timer(0.05, coming.put, [StepFailed("no")]).start()
    with pytest.raises(StepFailed, match="no"):
        next(logs._in_order(coming))  # type: ignore[arg-type]
