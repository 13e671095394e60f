"""Reads a log that grows and rotates: whole lines, each once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

BACKUPS = 3
"""Older parts of a log: .1 is the newest of them."""
_BLOCK = 64 * 1024
_LONGEST = 1024 * 1024
"""Bytes after which a line is passed on without its end."""


class Tail:
    """A log, divided where its last whole line ends now: what was before, and what comes after.

    Args:
        path: The log; its older parts end in .1 to .3.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = b""
        self._stream = _opened(path)
        self._begin = 0
        if self._stream is not None:
            self._begin = _end_of_last_line(self._stream)
            self._stream.seek(self._begin)

    def close(self) -> None:
        """Close the file in hand."""
        if self._stream is not None:
            self._stream.close()

    def last(self, lines: int) -> list[bytes]:
        """Return the last lines of before, from older parts too when the newest has too few."""
        found: list[bytes] = []
        if self._stream is not None:
            found = _lines_before(self._stream, self._begin, lines)
            self._stream.seek(self._begin)
        for path in parts(self._path)[1:]:
            older = _opened(path) if len(found) < lines else None
            if older is not None:
                with older:
                    found = (
                        _lines_before(older, older.seek(0, os.SEEK_END), lines - len(found)) + found
                    )
        return found

    @property
    def unfinished(self) -> bytes:
        """What the last read found of a line without its end."""
        return self._held

    def read(self) -> list[bytes]:
        """Return the lines that have been written since, without their ends."""
        lines: list[bytes] = []
        while True:
            lines += self._rest()
            following = self._following()
            if following is None:
                return lines
            if self._stream is not None:
                # What was written between the last read and the rotation.
                lines += self._rest()
                self._stream.close()
            self._stream = following

    def _rest(self) -> list[bytes]:
        if self._stream is None:
            return []
        if os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)  # emptied by somebody
        lines: list[bytes] = []
        while block := self._stream.read(_BLOCK):
            *whole, self._held = (self._held + block).split(b"\n")
            lines += whole
            if len(self._held) > _LONGEST:
                lines.append(self._held)
                self._held = b""
        return [each.removesuffix(b"\r") for each in lines]

    def _following(self) -> BinaryIO | None:
        """Open the file that comes after the one in hand: the next newer part, None when it is the newest."""
        if self._stream is None:
            return _opened(self._path)
        number = os.fstat(self._stream.fileno()).st_ino
        newer: BinaryIO | None = None
        for path in parts(self._path):
            candidate = _opened(path)
            if candidate is None:
                continue
            if os.fstat(candidate.fileno()).st_ino == number:
                candidate.close()
                return newer
            if newer is not None:
                newer.close()
            newer = candidate
        return newer


def parts(path: Path) -> list[Path]:
    """Return a log with its older parts, newest first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, BACKUPS + 1))]


def _opened(path: Path) -> BinaryIO | None:
    with contextlib.suppress(OSError):
        return path.open("rb")
    return None


def _end_of_last_line(stream: BinaryIO) -> int:
    at = stream.seek(0, os.SEEK_END)
    while at > 0:
        step = min(_BLOCK, at)
        at = stream.seek(at - step)
        newline = stream.read(step).rfind(b"\n")
        if newline >= 0:
            return at + newline + 1
    return 0


def _lines_before(stream: BinaryIO, end: int, lines: int) -> list[bytes]:
    content = b""
    at = end
    while at > 0 and content.count(b"\n") <= lines:
        step = min(_BLOCK, at)
        at = stream.seek(at - step)
        content = stream.read(step) + content
    whole = content.removesuffix(b"\n").split(b"\n") if content else []
    return [each.removesuffix(b"\r") for each in whole[max(0, len(whole) - lines) :]]
