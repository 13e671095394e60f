"""Take a CREATE TABLE of pg_dump apart: each column and each constraint is compared for itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ops.database.schema.entries import IDENTIFIER, QUALIFIED, QUOTED, unquoted

_BEGIN = re.compile(
    rf"CREATE (?:UNLOGGED |FOREIGN )?TABLE {QUALIFIED}(?: OF {QUALIFIED})? (?P<open>\()"
)
_MARK = re.compile(rf"{QUOTED} | [()\[\],]", re.VERBOSE | re.DOTALL)
_CONSTRAINT = re.compile(rf"CONSTRAINT ({IDENTIFIER}) (.*)", re.DOTALL)
_COLUMN = re.compile(rf"({IDENTIFIER})(?: (.*))?", re.DOTALL)
# After the columns, a statement for each setting: storage, statistics target, compression, options.
_SETTING = re.compile(
    rf"\n+ALTER (?:FOREIGN )?TABLE (?:ONLY )?{QUALIFIED} ALTER COLUMN ({IDENTIFIER}) (.*?;)(?=\n|\Z)",
    re.DOTALL,
)


@dataclass
class Parts:
    """A table taken apart.

    Args:
        frame: Everything but columns and constraints: "CREATE TABLE public.a (...)" and its options.
        columns: Definition of each column, in order.
        constraints: Definition of each constraint that stands inside.
    """

    frame: str
    columns: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)


def parts(text: str) -> Parts:
    """Return the parts of a table's statements."""
    begin = _BEGIN.match(text)
    if begin is None:
        return Parts(text)
    items, end = _items(text, begin.start("open"))
    made = Parts("")
    for item in items:
        if constraint := _CONSTRAINT.fullmatch(item):
            made.constraints[unquoted(constraint[1])] = constraint[2]
        elif column := _COLUMN.fullmatch(item):
            made.columns[unquoted(column[1])] = column[2] or ""
    rest = text[end:]
    for name, setting in _SETTING.findall(rest):
        if unquoted(name) in made.columns:
            made.columns[unquoted(name)] += f"\n{setting}"
    made.frame = f"{text[: begin.start('open')]}(...){_SETTING.sub('', rest)}"
    return made


def _items(text: str, start: int) -> tuple[list[str], int]:
    """Return what stands between the parentheses that open at `start`, and where they end."""
    found, depth, begin = [], 0, start + 1
    for mark in _MARK.finditer(text, start):
        if mark[0] in "([":
            depth += 1
        elif mark[0] in ")]":
            depth -= 1
        if (mark[0] == "," and depth == 1) or depth == 0:
            found.append(text[begin : mark.start()].strip())
            begin = mark.end()
        if depth == 0:
            break
    return [each for each in found if each], begin
