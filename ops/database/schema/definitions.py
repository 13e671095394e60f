"""The objects of a dump in one normal form: the same schema gives the same text, in whatever order it was made."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from ops.database.schema import tables
from ops.database.schema.entries import IDENTIFIER, QUALIFIED, Entry, entries, parts, unquoted

ABOUT = ("comment", "grants", "owner", "security label")
"""Kinds that say something about another object; their name begins with that object's kind."""
_KINDS = {
    "FK CONSTRAINT": "constraint",
    "CHECK CONSTRAINT": "constraint",
    "ACL": "grants",
    "DEFAULT ACL": "default privileges",
    "ROW SECURITY": "row level security",
    "TABLE ATTACH": "partition",
    "INDEX ATTACH": "index of partition",
    "SEQUENCE OWNED BY": "sequence owner",
}
_OWNER = re.compile(rf"\s*^ALTER [A-Z ]+ [^\n]* OWNER TO ({IDENTIFIER});\Z", re.MULTILINE)
_ADDED = rf"ALTER (?:FOREIGN )?TABLE (?:ONLY )?(?P<table>{QUALIFIED})\s+ADD CONSTRAINT (?P<name>{IDENTIFIER}) "
# Types whose entry is named "table name" and not by its own name alone.
_OF_TABLE = {
    "CONSTRAINT": _ADDED,
    "FK CONSTRAINT": _ADDED,
    "CHECK CONSTRAINT": _ADDED,
    "TRIGGER": rf"CREATE (?:CONSTRAINT )?TRIGGER (?P<name>{IDENTIFIER}) [^\n]*? ON (?P<table>{QUALIFIED}) ",
    "RULE": rf"CREATE RULE (?P<name>{IDENTIFIER}) AS\s+ON [A-Z]+ TO (?P<table>{QUALIFIED})",
    "POLICY": rf"CREATE POLICY (?P<name>{IDENTIFIER}) ON (?P<table>{QUALIFIED})",
    "DEFAULT": rf"ALTER TABLE (?:ONLY )?(?P<table>{QUALIFIED}) ALTER COLUMN (?P<name>{IDENTIFIER}) SET ",
    "SEQUENCE": rf"ALTER TABLE (?P<table>{QUALIFIED}) ALTER COLUMN (?P<name>{IDENTIFIER}) ADD ",
    "PUBLICATION TABLE": rf"ALTER PUBLICATION (?P<name>{IDENTIFIER}) ADD TABLE ONLY (?P<table>{QUALIFIED})",
}
_OPTIONS = re.compile(r"(?<=WITH \()(?:[\w.]+=(?:'[^']*'|[\w.]+)(?:, )?)+(?=\))")
_ARGUMENT = re.compile(r"^ +(?:LEFT|RIGHT)ARG = (.*?),?$", re.MULTILINE)
_ROLES = re.compile(rf"(?<= TO ){IDENTIFIER}(?:, {IDENTIFIER})+(?= USING | WITH CHECK |;\Z)")
_GRANTED_BY = re.compile(r"^(SET SESSION AUTHORIZATION .*;)\n(.*;)\n(RESET .*;)$", re.MULTILINE)


class Key(NamedTuple):
    """What names an object.

    Args:
        kind: "table", "column", "constraint", "grants"...
        schema: Its schema, empty for none.
        name: Its name, as it is.
        table: The table that it belongs to, empty for none.
    """

    kind: str
    schema: str
    name: str
    table: str = ""

    def __str__(self) -> str:
        """Return it for a person: "column email of public.customer"."""
        schema = f"{self.schema}." if self.schema else ""
        if self.table:
            return f"{self.kind} {self.name} of {schema}{self.table}"
        if self.kind in ABOUT:
            words = re.match("[A-Z ]+ ", self.name)
            kind = words[0] if words else ""
            return f"{self.kind} of {kind.lower()}{schema}{self.name[len(kind):]}"
        if self.kind == "default privileges":
            return f"{self.kind} {self.name}{' in ' if self.schema else ''}{self.schema}"
        return f"{self.kind} {schema}{self.name}"


def objects(text: str) -> dict[Key, str]:
    """Return every object of a dump with its definition.

    Columns and constraints are objects of their own, and so are owners, grants, comments and the order of a table's
    columns; what pg_dump names alike (operator classes of other index methods) is joined.

    Args:
        text: Output of `pg_dump --schema-only` or of `pg_restore --schema-only --file=-`.
    """
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for entry in entries(text):
        for key, definition in _objects(entry):
            found[key].append(definition)
    joined = {key: "\n\n".join(sorted(set(each))) for key, each in found.items()}
    for key in [each for each in joined if each.kind == "default"]:
        column = key._replace(kind="column")
        if column in joined:  # else it is a view's
            joined[column] += f"\n{joined.pop(key)}"
    return joined


def _objects(entry: Entry) -> Iterator[tuple[Key, str]]:
    text, owner = entry.text, _OWNER.search(entry.text)
    if owner is not None:
        text = text[: owner.start()]
        yield Key("owner", entry.schema, f"{entry.type} {_name(entry)}"), unquoted(owner[1])
    if entry.type in ("TABLE", "FOREIGN TABLE"):
        yield from _table(entry, text)
    elif not (entry.type == "COMMENT" and entry.name.startswith("EXTENSION ")):
        # The comment of an extension comes with its files.
        yield _key(entry), _normal(entry.type, text)


def _key(entry: Entry) -> Key:
    kind = _KINDS.get(entry.type, entry.type.lower())
    pattern = _OF_TABLE.get(entry.type)
    found = re.match(pattern, entry.text) if pattern else None
    if found is not None:
        schema, table = parts(found["table"])
        kind = "identity" if entry.type == "SEQUENCE" else kind
        return Key(kind, schema or entry.schema, unquoted(found["name"]), table)
    if entry.type == "DEFAULT ACL":
        # Its name is the same for every role.
        what = entry.name.removeprefix("DEFAULT PRIVILEGES ").lower()
        return Key(kind, entry.schema, f"{what} of {entry.owner}")
    return Key(kind, entry.schema, _name(entry))


def _name(entry: Entry) -> str:
    if entry.type == "OPERATOR":
        return f"{entry.name}({', '.join(_ARGUMENT.findall(entry.text))})"
    return entry.name.removeprefix(f"{entry.type} ")


def _table(entry: Entry, text: str) -> Iterator[tuple[Key, str]]:
    found = tables.parts(text)
    yield Key(entry.type.lower(), entry.schema, entry.name), _normal(entry.type, found.frame)
    yield Key("column order", entry.schema, entry.name), "\n".join(found.columns)
    for name, definition in found.columns.items():
        yield Key("column", entry.schema, name, entry.name), definition
    for name, definition in found.constraints.items():
        yield Key("constraint", entry.schema, name, entry.name), definition


def _normal(type: str, text: str) -> str:
    """Return a definition without what depends on the order in which things were done."""
    if type in ("ACL", "DEFAULT ACL"):
        return "\n".join(sorted(_GRANTED_BY.sub(r"\1 \2 \3", text).splitlines()))
    if type in ("CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT"):
        # As it would stand inside of CREATE TABLE.
        text = re.sub(_ADDED, "", text, count=1).removesuffix(";")
    if type == "POLICY":
        text = _ROLES.sub(_sorted, text)
    return _OPTIONS.sub(_sorted, text)


def _sorted(found: re.Match[str]) -> str:
    return ", ".join(sorted(found[0].split(", ")))
