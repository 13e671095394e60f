"""Which differences only follow from another one: the index of a missing table, the column of each partition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ops.database.schema.definitions import ABOUT, Key
from ops.database.schema.entries import IDENTIFIER, QUALIFIED, parts, unquoted

RELATIONS = ("table", "view", "materialized view", "foreign table")
_ATTACHED = re.compile(
    rf"ALTER (?:TABLE|INDEX) (?:ONLY )?(?P<parent>{QUALIFIED}) ATTACH PARTITION (?P<child>{QUALIFIED})"
)
_INDEXED = re.compile(rf"CREATE (?:UNIQUE )?INDEX {IDENTIFIER} ON (?:ONLY )?({QUALIFIED}) ")
_OWNED = re.compile(rf"ALTER SEQUENCE {QUALIFIED} OWNED BY ({QUALIFIED})\.({IDENTIFIER})")
_ON = re.compile(rf"({IDENTIFIER}) ON ({QUALIFIED})")

Pair = tuple[str | None, str | None]
"""Definition of an object on the left and on the right, None where it is missing."""


def causes(found: Mapping[Key, Pair], *sides: Mapping[Key, str]) -> dict[Key, Key]:
    """Return for each difference that follows from another one which that is.

    Args:
        found: All differences.
        sides: All objects of both sides.
    """
    family = _Family(sides)
    direct = {}
    for key, pair in found.items():
        for cause in family.causes(key, pair):
            if cause != key and cause in found and _same(key, pair, found[cause]):
                direct[key] = cause
                break
    return {key: _first(direct, key) for key in direct}


def _same(key: Key, pair: Pair, cause: Pair) -> bool:
    """Say whether both are missing on the same side, or a partition differs as its parent does."""
    if None in pair:
        return pair.index(None) == (cause.index(None) if None in cause else -1)
    return pair == cause


def _first(direct: Mapping[Key, Key], key: Key) -> Key:
    seen = [key]
    while (cause := direct.get(seen[-1])) is not None and cause not in seen:
        seen.append(cause)
    return seen[-1]


class _Family:
    """Who belongs to whom.

    Args:
        sides: All objects of both sides.
    """

    def __init__(self, sides: tuple[Mapping[Key, str], ...]) -> None:
        self.parents: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
        self.holders: dict[tuple[str, str], list[tuple[Key, str]]] = {}
        self.routines: dict[tuple[str, str], list[Key]] = {}
        self.owned: dict[Key, tuple[str, str, str]] = {}
        for key, definition in ((key, text) for side in sides for key, text in side.items()):
            self._note(key, definition)

    def _note(self, key: Key, definition: str) -> None:
        if key.kind in ("partition", "index of partition"):
            attached = _ATTACHED.match(definition)
            if attached:
                family = self.parents.setdefault(key.kind, {})
                family[_place(attached["child"], key)] = _place(attached["parent"], key)
        elif key.kind in ("index", "constraint"):
            indexed = _INDEXED.match(definition)
            table = _place(indexed[1], key)[1] if indexed else key.table
            self.holders.setdefault((key.schema, key.name), []).append((key, table))
        elif key.kind in ("function", "procedure", "aggregate"):
            self.routines.setdefault((key.schema, key.name.partition("(")[0]), []).append(key)
        elif key.kind == "sequence owner" and (owned := _OWNED.match(definition)):
            self.owned[key._replace(kind="sequence")] = (*_place(owned[1], key), unquoted(owned[2]))

    def causes(self, key: Key, pair: Pair) -> Iterator[Key]:
        """Yield the objects that would explain a difference, the nearest first."""
        if key.kind in ABOUT:
            yield from self._subject(key)
        if key.kind == "identity":
            yield key._replace(kind="column")
        if key.kind == "publication table":
            yield Key("publication", "", key.name)
        if key.kind == "sequence owner":
            yield key._replace(kind="sequence")
        if key in self.owned:
            schema, table, column = self.owned[key]
            yield Key("column", schema, column, table)
            yield from _relations(schema, table)
        if key.kind in ("index", "constraint", "index of partition"):
            yield from self._index(key, pair[0] or pair[1] or "")
        yield from _relations(key.schema, key.table or key.name)
        yield from self._copies(key)
        yield Key("schema", "", key.schema)

    def _index(self, key: Key, definition: str) -> Iterator[Key]:
        parent = self.parents.get("index of partition", {}).get((key.schema, key.name))
        if key.kind == "index of partition":
            for holder, table in self.holders.get((key.schema, key.name), []):
                yield holder
                yield Key("partition", key.schema, table)
        elif parent:
            yield from (holder for holder, _ in self.holders.get(parent, []))
        if indexed := _INDEXED.match(definition):
            yield from _relations(*_place(indexed[1], key))

    def _copies(self, key: Key) -> Iterator[Key]:
        """Yield the same part of the table that this one's table is a partition of."""
        own = key.table or key.name
        parent = self.parents.get("partition", {}).get((key.schema, own))
        if parent and key.table:
            yield key._replace(schema=parent[0], table=parent[1])
        elif parent and key.kind == "column order":
            yield key._replace(schema=parent[0], name=parent[1])

    def _subject(self, key: Key) -> Iterator[Key]:
        """Yield what a comment, a grant or an owner is about."""
        words = re.match("[A-Z ]+ ", key.name)
        kind = words[0].strip() if words else ""
        name = key.name[len(kind) :].strip()
        if kind == "COLUMN":
            table, column = parts(name)
            yield Key("column", key.schema, column, table)
            yield from _relations(key.schema, table)
        elif kind in ("FUNCTION", "PROCEDURE", "AGGREGATE"):
            yield from self.routines.get((key.schema, unquoted(name.partition("(")[0])), [])
        elif on := _ON.fullmatch(name):
            schema, table = _place(on[2], key)
            yield Key(kind.lower(), schema, unquoted(on[1]), table)
            yield from _relations(schema, table)
        else:
            plain = unquoted(name) if re.fullmatch(IDENTIFIER, name) else name
            yield Key(kind.lower(), key.schema, plain)
            yield from _relations(key.schema, plain)


def _place(qualified: str, near: Key) -> tuple[str, str]:
    schema, name = parts(qualified)
    return schema or near.schema, name


def _relations(schema: str, name: str) -> Iterator[Key]:
    for kind in RELATIONS:
        yield Key(kind, schema, name)
