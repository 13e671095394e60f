"""The text of a dump of mariadb-dump or mysqldump, read as it passes: tables, their rows, whether it is whole.

The rows of a table are counted from the text itself: they are then those of the dump's snapshot by construction. A
second connection with a snapshot of its own would need a lock over all tables so that both see the same state, and
a backup must never make writers wait; it would also read every table twice. What is counted here is compared with
`count(*)` on another server when the backup is proved.

Facts that the reading rests on (all of both programs, with their default options):
- the data of a table lie between the lines `LOCK TABLES .. WRITE;` and `UNLOCK TABLES;`;
- a line break in a value is written as an escape, so inside of that section a line break ends a row or statement;
- code (triggers, routines, events) lies between the lines `DELIMITER ;;` and `DELIMITER ;`;
- the last line is `-- Dump completed`, the only sign that a dump is not cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ops.kernel.errors import StepFailed

_NAME: Final = rb"`((?:[^`]|``)*)`"
_BEGIN: Final = re.compile(rb"\n(?:LOCK TABLES " + _NAME + rb" WRITE;|DELIMITER ;;) *(?=\n)")
_DATA_END: Final = b"\nUNLOCK TABLES;\n"
_CODE_END: Final = b"\nDELIMITER ;\n"
_FOOTER: Final = re.compile(rb"\n-- Dump completed[^\n]*\n\Z")
# Complete strings and names; the whole text as far as it holds only complete ones. Not possessive: Python 3.11.2, which
# is Debian 12's, matches too little then. Nothing follows the repetition, so it never goes back.
_QUOTED: Final = re.compile(rb"'[^'\\]*(?:\\.[^'\\]*)*'|`[^`]*`", re.S)
_COMPLETE: Final = re.compile(rb"(?:[^'`]+|'[^'\\]*(?:\\.[^'\\]*)*'|`[^`]*`)*", re.S)
_INSERT: Final = b"\nINSERT INTO "
# Rows of one line are MySQL's, of one line each MariaDB's.
_NEXT_ROW: Final = (b"),(", b",\n(")
_LONGEST_LINE: Final = 1024
"""Bytes of a line that may begin a section: a name has 64 characters."""


def _ignore(_: bytes) -> None:
    """Drop what is not counted."""


class Text:
    """A dump that is read piece by piece, in constant memory.

    Args:
        outside: Takes what is not data: definitions and code.
    """

    def __init__(self, outside: Callable[[bytes], object] = _ignore) -> None:
        self._outside = outside
        self._rows: dict[str, int] = {}
        self._left = b"\n"
        self._before = b""
        self._table = ""
        self._end = b""
        self._tail = b""

    @property
    def tables(self) -> dict[str, int]:
        """Rows by table, in the order of the dump."""
        return dict(self._rows)

    @property
    def fault(self) -> str:
        """Why this is not a whole dump, empty when it is one."""
        if self._end:
            return f"it ends inside of {f'table {self._table}' if self._table else 'code'}"
        return "" if _FOOTER.search(self._tail) else "its last line is not -- Dump completed"

    def check(self, what: str) -> None:
        """Refuse a dump that is not whole.

        Raises:
            StepFailed: It is not; `what` is the first half of the message.
        """
        if self.fault:
            raise StepFailed(f"{what} is cut", why=self.fault)

    def feed(self, data: bytes) -> None:
        """Read the next piece."""
        self._tail = (self._tail + data)[-256:]
        self._left += data
        while self._left and self._step():
            pass

    def _step(self) -> bool:
        """Use up a part of what is left; say whether there may be more to do with it."""
        if not self._end:
            return self._seek()
        place = self._left.find(self._end)
        if place >= 0:
            if self._table:
                self._count(self._left[:place])
            else:
                self._outside(self._left[: place + len(self._end) - 1])
            self._left = self._left[place + len(self._end) - 1 :]
            self._table, self._end, self._before = "", b"", b""
            return True
        # A line break may begin the end of the section.
        line = self._left.rfind(b"\n")
        if not self._table:
            self._drop(max(0, len(self._left) - len(self._end)))
        elif line > 0:
            self._count(self._left[:line])
            self._left = self._left[line:]
        elif not self._end.startswith(self._left):
            # A single line: cut where a string begins that goes on.
            found = _COMPLETE.match(self._left)
            assert found is not None
            self._count(self._left[: found.end()], one_line=True)
            self._left = _shortened(self._left[found.end() :])
        return False

    def _seek(self) -> bool:
        """Find the next section; what is left begins with a line break, or inside of a long line."""
        found = _BEGIN.search(self._left)
        if found is None:
            self._drop(max(0, self._left.rfind(b"\n"), len(self._left) - _LONGEST_LINE))
            return False
        if found[1] is None:
            self._drop(found.end())
            self._end = _CODE_END
        else:
            self._drop(found.start())
            self._left = self._left[found.end() - found.start() :]
            self._end = _DATA_END
            self._table = found[1].replace(b"``", b"`").decode(errors="surrogateescape")
            self._rows[self._table] = 0
        return True

    def _drop(self, size: int) -> None:
        self._outside(self._left[:size])
        self._left = self._left[size:]

    def _count(self, part: bytes, *, one_line: bool = False) -> None:
        """Count the rows that begin in a part of a table's data; it ends outside of every string."""
        # Values are looked at only when they might be taken for the border of two rows.
        if one_line or part[:1] in (b"'", b"`") or _NEXT_ROW[0] in part:
            part = _QUOTED.sub(b"", part)
        joined = self._before + part
        for pattern in (_INSERT, *_NEXT_ROW):
            self._rows[self._table] += joined.count(pattern) - self._before.count(pattern)
        self._before = joined[-len(_INSERT) + 1 :]


def _shortened(rest: bytes) -> bytes:
    """Return an open string or name without what is in it: a value may have a gigabyte."""
    escapes = len(rest) - len(rest.rstrip(b"\\"))
    return rest[:1] + b"\\" * (escapes % 2)
