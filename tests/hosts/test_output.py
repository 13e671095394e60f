from __future__ import annotations

from ops.hosts.output import Lines


def test_lines_are_passed_on_when_they_are_whole() -> None:
    got: list[bytes] = []
    lines = Lines(got.append)
    for data in (b"a", b"b\nc", b"", b"\nd\ne\nf"):
        lines.take(data)
    assert got == [b"ab\n", b"c\nd\ne\n"]
    lines.finish()
    lines.finish()
    assert got[2:] == [b"f\n"]
