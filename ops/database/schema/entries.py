"""Cut the text of `pg_dump --schema-only` (or `pg_restore --schema-only --file=-`) into its entries.

The comment above each entry names it. The same characters inside a function's body or a literal are no comment, so
literals, quoted names and dollar-quoted bodies are stepped over as PostgreSQL's own scanner does (source: scan.l).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

IDENTIFIER = r'(?:"[^"]*(?:""[^"]*)*"|[^\W\d][\w$]*)'
"""A name as SQL writes it."""
QUALIFIED = rf"{IDENTIFIER}(?:\.{IDENTIFIER})?"
"""A name, its schema before it or not."""
QUOTED = r"""
    (?<![\w$])[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'
    | '[^']*(?:''[^']*)*'
    | "[^"]*(?:""[^"]*)*"
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
"""
"""What stands for itself whatever is in it."""
_HEADER = r"""
    ^--\ (?P<header>
        Name:\ (?P<name>[^\n]*);\ Type:\ (?P<type>[A-Z ]+);\ Schema:\ (?P<schema>[^\n]*);\ Owner:\ (?P<owner>[^\n]*)
        | PostgreSQL\ database\ dump\ complete
    )$
"""
_TOKEN = re.compile(rf"{_HEADER} | --[^\n]* | {QUOTED}", re.VERBOSE | re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"(?:\n+SET \w+ = [^\n]*;)+\Z")


@dataclass(frozen=True)
class Entry:
    """An entry of a dump.

    Args:
        type: As pg_dump calls it: "TABLE", "FK CONSTRAINT", "ACL".
        schema: Its schema, empty for none.
        name: As pg_dump calls it: "orders", "orders orders_pkey" for a constraint, "TABLE orders" for a comment.
        owner: Its owner.
        text: Its statements.
    """

    type: str
    schema: str
    name: str
    owner: str
    text: str


def entries(text: str) -> Iterator[Entry]:
    """Yield the entries of a dump in its order, without comments and settings of the session."""
    found: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        if token["header"] is None:
            continue
        if found is not None:
            yield _entry(found, text[found.end() : token.start()])
        found = token if token["type"] else None
    if found is not None:
        yield _entry(found, text[found.end() :])


def _entry(found: re.Match[str], text: str) -> Entry:
    # Around the statements: the lines "--" of this comment and of the next one, settings for the next entry.
    statements = text.strip().removeprefix("--").removesuffix("--").strip()
    schema = "" if found["schema"] == "-" else found["schema"]
    return Entry(found["type"], schema, found["name"], found["owner"], _SETTING.sub("", statements))


def unquoted(name: str) -> str:
    """Return a name as it is, from how SQL writes it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def parts(qualified: str) -> tuple[str, str]:
    """Return schema (empty for none) and name of a qualified name."""
    found = [unquoted(each) for each in re.findall(IDENTIFIER, qualified)]
    return ("", found[0]) if len(found) == 1 else (found[0], found[1])
