"""The definitions in a dump of MariaDB, by object: is a restored database made as the archive says?"""

from __future__ import annotations

import re
from typing import Final

from ops.backup.engines.mysql_text import Text

# What stands above each object in a dump; triggers follow the data of their table.
_HEADING: Final = re.compile(
    rb"-- (?:(?:Table|Sequence|Temporary table|Final view) structure for"
    rb"|Dumping data for)(?: table| view)? (?P<name>`.*`)"
    rb"|-- Dumping (?P<kind>events|routines) for database .*"
)
# Not part of a definition: values of counters, and what is only there when data follow.
_COUNTER: Final = re.compile(rb" AUTO_INCREMENT=\d+")
_WITH_DATA: Final = (b"--", b"DO SETVAL(", b"/*M!101100 SET", b"/*M!999999")


class Definitions:
    """Takes a whole dump, with or without data, and keeps its definitions."""

    def __init__(self) -> None:
        self.text = Text(self._take)
        self._line = b""
        self._object = b""
        self._lines: dict[bytes, list[bytes]] = {}

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        self.text.feed(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back here."""

    def differences(self, other: Definitions) -> list[str]:
        """Return the names of the objects that are not the same in both."""
        names = sorted({*self._lines, *other._lines})
        return [
            name.decode(errors="replace")
            for name in names
            if self._lines.get(name) != other._lines.get(name)
        ]

    def _take(self, part: bytes) -> None:
        *lines, self._line = (self._line + part).split(b"\n")
        for line in lines:
            if found := _HEADING.fullmatch(line):
                self._object = found["name"] or found["kind"]
            # What stands above the first object belongs to the client.
            elif self._object and line and not line.startswith(_WITH_DATA):
                self._lines.setdefault(self._object, []).append(_COUNTER.sub(b"", line))
