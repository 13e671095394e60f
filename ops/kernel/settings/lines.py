"""In which line of a TOML file each key stands (the standard library's reader does not say).

The text was accepted by `tomllib` before, so this only has to find keys and skip values.
"""

from __future__ import annotations

import bisect
import contextlib
import re
import tomllib
from collections.abc import Mapping
from typing import Final

KeyPath = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
# A multi-line string may end with up to two quotes of its own before the closing three.
_VALUE: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\d{4}-\d\d-\d\d[ ]\d\d:[^,\]}\s#]*"
    r"|[^,\]}\s#]+",
    re.DOTALL,
)


def index(text: str) -> Mapping[KeyPath, int]:
    """Return the line (from 1) of every table, key and list element of a valid TOML text."""
    scanner = _Scanner(text)
    # A text of a newer TOML than this knows gets the lines up to there.
    with contextlib.suppress(ValueError, IndexError):
        scanner.scan()
    return scanner.found


def nearest(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of `path`, else of the nearest part around it, else 0."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 0


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [found.start() for found in re.finditer("\n", text)]
        self.found: dict[KeyPath, int] = {}
        self.counts: dict[KeyPath, int] = {}

    def scan(self) -> None:
        prefix: KeyPath = ()
        while self._peek_after(_BLANK):
            if self.text[self.at] == "[":
                prefix = self._header()
            else:
                self._pair(prefix)

    def _peek_after(self, skipped: re.Pattern[str]) -> str:
        self._take(skipped)
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        matched = pattern.match(self.text, self.at)
        if matched is None:
            raise ValueError(f"no key or value at {self.at}")
        self.at = matched.end()
        return matched[0]

    def _record(self, path: KeyPath) -> None:
        self.found.setdefault(path, bisect.bisect_left(self.breaks, self.at) + 1)

    def _header(self) -> KeyPath:
        width = 2 if self.text.startswith("[[", self.at) else 1
        start, self.at = self.at, self.at + width
        *outer, last = self._key()
        self.at, end = start, self.at
        path: KeyPath = ()
        for part in outer:
            path = (*path, part)
            self._record(path)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        path = (*path, last)
        if width == 2:
            self._record(path)
            self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, self.counts[path] - 1)
        self._record(path)
        self.at = self.text.index("]" * width, end) + width
        return path

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._take(_SPACE)
            part = self._take(_KEY)
            parts.append(tomllib.loads(f"key = {part}")["key"] if part[0] in "\"'" else part)
            if self._peek_after(_SPACE) != ".":
                return parts
            self.at += 1

    def _pair(self, prefix: KeyPath) -> None:
        start = self.at
        parts = self._key()
        self.at, end = start, self.at
        for part in parts:
            prefix = (*prefix, part)
            self._record(prefix)
        self.at = end + 1  # the equals sign
        self._take(_SPACE)
        self._value(prefix)

    def _value(self, path: KeyPath) -> None:
        self._record(path)
        first = self.text[self.at]
        if first not in "[{":
            self._take(_VALUE)
            return
        self.at += 1
        count = 0
        while self._peek_after(_BLANK) not in "]}":
            if first == "[":
                self._value((*path, count))
                count += 1
            else:
                self._pair(path)
            if self._peek_after(_BLANK) == ",":
                self.at += 1
        self.at += 1
