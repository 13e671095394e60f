"""A change of one object, with its line for a person and its SQL; privileges that are missing or too much. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql as statements

from ops.database.init_observe import Privileges

NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Change:
    """One object that is not as it should be.

    Args:
        what: The object.
        state: What is wrong and what will be done, for a person.
        sql: Statements, in order.
        password: Role that gets its password before them; its statement cannot be shown.
    """

    what: str
    state: str
    sql: tuple[str, ...] = ()
    password: str = ""

    @property
    def role(self) -> bool:
        """Whether it is a role that changes, not the database or something in it."""
        return self.what.startswith("role ")

    def shown(self) -> tuple[str, ...]:
        """Return the statements for a person."""
        verb = "alter" if "password" in self.state else "create"
        hidden = f"{verb} role {name(self.password)} login password '***'"
        return (hidden, *self.sql) if self.password else self.sql


def name(text: str) -> str:
    """Return an identifier, quoted."""
    return statements.Identifier(text).as_string(None)


def grants(
    what: str, on: str, there: Privileges, allowed: Mapping[str, frozenset[str]], prefix: str = ""
) -> Iterator[Change]:
    """Yield what makes the privileges on an object those that are allowed; other grantees are left alone."""
    for grantee, words in allowed.items():
        has = there.get(grantee, NONE)
        if words - has:
            yield grant(what, on, grantee, "grant", words - has, prefix=prefix)
        if has - words:
            yield grant(what, on, grantee, "revoke", has - words, prefix=prefix)


def grant(
    what: str,
    on: str,
    grantee: str,
    verb: str,
    words: frozenset[str],
    where: str = "",
    prefix: str = "",
) -> Change:
    """Return one GRANT or REVOKE.

    Args:
        what: The object, for a person.
        on: The object, for SQL.
        grantee: Role; empty for PUBLIC.
        verb: `grant` or `revoke`.
        words: Privileges.
        where: More about the object, for a person.
        prefix: Of the statement.
    """
    to = name(grantee) if grantee else "public"
    who = grantee or "everybody (PUBLIC)"
    option = "GRANT OPTION FOR "
    plain = sorted(word for word in words if not word.startswith(option))
    passing = sorted(word.removeprefix(option) for word in words if word.startswith(option))
    # Who loses a privilege loses the right to pass it on as well.
    passing = [word for word in passing if word not in plain]
    direction = "to" if verb == "grant" else "from"
    sql = tuple(
        f"{prefix}{verb} {start}{', '.join(listed).lower()} on {on} {direction} {to}"
        for start, listed in (("", plain), ("grant option for ", passing))
        if listed
    )
    shown = ", ".join([*plain, *(f"right to pass on {word}" for word in passing)])
    if verb == "grant":
        return Change(what, f"{who} lacks {shown}{where}: grant it", sql)
    return Change(what, f"{who} has {shown}{where}, too much: revoke it", sql)


def lines(found: Iterable[Change]) -> dict[str, str]:
    """Return one line for each object."""
    gathered: dict[str, list[str]] = {}
    for each in found:
        gathered.setdefault(each.what, []).append(each.state)
    return {what: "; ".join(states) for what, states in gathered.items()}
