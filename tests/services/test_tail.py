"""A log is read line by line, each once, also when it rotates while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest

from ops.services import tail as tails
from ops.services.tail import parts

Open = Callable[[Path], tails.Tail]


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(tails.Tail(path)))


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last))


def lines(first: int, last: int) -> list[bytes]:
    return [b"line %d" % number for number in range(first, last)]


def rotate(path: Path) -> None:
    """Rotate as supervisor does: .2 to .3, .1 to .2, the log to .1, then a new one."""
    older = [path, *parts(path)[1:]]
    for newer, target in reversed(list(pairwise(older))):
        if newer.exists():
            newer.rename(target)
    path.write_bytes(b"")


def add(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        (b"", 5, []),
        (b"one\n", 5, [b"one"]),
        (b"one\ntwo\nthree\n", 2, [b"two", b"three"]),
        (b"one\r\ntwo\n", 5, [b"one", b"two"]),
        (b"one\n\n\ntwo\n", 3, [b"", b"", b"two"]),
        (b"one\nunfinished", 5, [b"one"]),
        (b"one\n", 0, []),
        (numbered(0, 20_000), 15_000, lines(5_000, 20_000)),
        (b"x" * 200_000 + b"\nlast\n", 1, [b"last"]),
    ],
)
def test_last_lines(
    opened: Open, tmp_path: Path, content: bytes, count: int, expected: list[bytes]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert opened(path).last(count) == expected


def test_last_lines_reach_into_older_parts(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(numbered(6, 8))
    (tmp_path / "log.1").write_bytes(numbered(3, 6))
    (tmp_path / "log.2").write_bytes(numbered(0, 3))
    assert opened(path).last(4) == lines(4, 8)
    assert opened(path).last(100) == lines(0, 8)


def test_log_that_does_not_exist_yet_is_read_from_its_beginning(
    opened: Open, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    tail = opened(path)
    assert (tail.last(5), tail.read()) == ([], [])
    add(path, b"first\n")
    assert tail.read() == [b"first"]


def test_lines_come_whole_and_once(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\nbegun ")
    tail = opened(path)
    assert tail.last(5) == [b"before"]
    assert tail.read() == []
    assert tail.unfinished == b"begun "
    add(path, b"and finished\nnext")
    assert tail.read() == [b"begun and finished"]
    add(path, b"\n")
    assert tail.read() == [b"next"]
    assert tail.read() == []


def once(path: Path) -> None:
    add(path, numbered(10, 20))
    rotate(path)
    add(path, numbered(20, 25))


def twice(path: Path) -> None:
    once(path)
    rotate(path)
    add(path, numbered(25, 30))


def within_a_line(path: Path) -> None:
    add(path, numbered(10, 20) + b"line ")
    rotate(path)
    add(path, b"20\n" + numbered(21, 30))


@pytest.mark.parametrize(("change", "end"), [(once, 25), (twice, 30), (within_a_line, 30)])
def test_no_line_is_lost_by_rotation(
    opened: Open, tmp_path: Path, change: Callable[[Path], None], end: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(numbered(0, 10))
    tail = opened(path)
    change(path)
    assert tail.read() == lines(10, end)
    add(path, b"after\n")
    assert tail.read() == [b"after"]


def test_emptied_log_is_read_anew(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(numbered(0, 10))
    tail = opened(path)
    path.write_bytes(b"new\n")
    assert tail.read() == [b"new"]


def test_line_without_end_does_not_fill_the_memory(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    tail = opened(path)
    add(path, b"x" * 3_000_000)
    assert sum(map(len, tail.read())) + len(tail.unfinished) == 3_000_000
    assert len(tail.unfinished) <= 2_000_000
