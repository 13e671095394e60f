"""Compare the objects of two schemas; what only follows from another difference is not named by itself."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ops.database.schema import consequences
from ops.database.schema.definitions import Key

_HIDDEN = ("user mapping", "server", "subscription", "foreign data wrapper")
"""Kinds whose options may hold a password."""
_LITERAL = re.compile(r"'[^']*(?:''[^']*)*'")
_SHORT = 80
_WHOLE = ("table", "foreign table")
"""Kinds whose definition is what is left without their columns: missing, it says nothing."""


@dataclass(frozen=True)
class Difference:
    """One object that the two sides do not share.

    Args:
        key: The object.
        left: Its definition on the left side, None where it is missing.
        right: Its definition on the right side, None where it is missing.
        with_it: What differs only because of it and is not listed by itself.
    """

    key: Key
    left: str | None
    right: str | None
    with_it: tuple[Key, ...] = ()

    def what(self, left: str, right: str) -> str:
        """Return what differs in a few words.

        Args:
            left: Name of the left side, e.g. "migrations".
            right: Name of the right side, e.g. "live".
        """
        if self.left is None or self.right is None:
            definition = self._short(self.left or self.right or "")
            where = f"only in {right if self.left is None else left}"
            return f"{where}: {definition}" if definition else where
        ours, theirs = self._hidden(self.left), self._hidden(self.right)
        if ours == theirs:
            return "differs in options that may be secret"
        if self._short(ours + theirs):
            return f"{left}: {ours}; {right}: {theirs}"
        return "differs"

    def excerpt(self, left: str, right: str) -> str:
        """Return the lines that differ, with a little around them; empty when `what` says it all."""
        ours, theirs = self._hidden(self.left or ""), self._hidden(self.right or "")
        one_side = self.left is None or self.right is None
        if self._short(ours + theirs) or (one_side and self.key.kind in _WHOLE):
            return ""
        lines = (ours.splitlines(), theirs.splitlines())
        return "\n".join(difflib.unified_diff(*lines, left, right, n=2, lineterm=""))

    def _short(self, definition: str) -> str:
        """Return a definition that fits on the line of its object, empty for others."""
        fits = "\n" not in definition and len(definition) <= _SHORT
        return self._hidden(definition) if fits and self.key.kind not in _WHOLE else ""

    def shown(self, definition: str | None) -> str | None:
        """Return a definition without passwords."""
        return None if definition is None else self._hidden(definition)

    def _hidden(self, definition: str) -> str:
        return _LITERAL.sub("'***'", definition) if self.key.kind in _HIDDEN else definition


def differences(left: Mapping[Key, str], right: Mapping[Key, str]) -> list[Difference]:
    """Return what differs between two schemas, sorted by object.

    Args:
        left: Objects of one side, of `objects`.
        right: Objects of the other side.
    """
    found: dict[Key, consequences.Pair] = {}
    for key in left.keys() | right.keys():
        ours, theirs = left.get(key), right.get(key)
        if key.kind == "column order" and ours is not None and theirs is not None:
            ours, theirs = _in_both(ours, theirs), _in_both(theirs, ours)
        if ours != theirs:
            found[key] = (ours, theirs)
    causes = consequences.causes(found, left, right)
    following: defaultdict[Key, list[Key]] = defaultdict(list)
    for key, cause in causes.items():
        following[cause].append(key)
    return [
        Difference(key, *found[key], tuple(sorted(following[key])))
        for key in sorted(found, key=_place)
        if key not in causes
    ]


def _in_both(columns: str, others: str) -> str:
    """Return the columns that the other side has as well: a new one is a finding of its own."""
    known = set(others.splitlines())
    return "\n".join(each for each in columns.splitlines() if each in known)


def _place(key: Key) -> tuple[str, str, str, str]:
    return key.schema, key.table or key.name, key.kind, key.name
