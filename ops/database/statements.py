"""SQL text as PostgreSQL's own scanner sees it: tokens, and statements with their lines.

The rules are those of psql (src/fe_utils/psqlscan.l), for `standard_conforming_strings = on`: quotes, E'' strings that
go on in the next line, dollar quotes, nested comments, parentheses of CREATE RULE, BEGIN ATOMIC bodies. The libraries
do not have them all: sqlparse 0.6 ends nested comments too early, sqlglot 30.30 splits rules and BEGIN ATOMIC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """What a token is."""

    COMMENT = "comment"
    STRING = "string"
    QUOTED = "quoted identifier"
    WORD = "word"
    SYMBOL = "symbol"


class Token(NamedTuple):
    """A piece of SQL text; blanks are none.

    Args:
        kind: What it is; a number is a symbol.
        text: As it is written, with its quotes.
        start: Index of its first character.
        line: Line of its first character, from 1.
    """

    kind: Kind
    text: str
    start: int
    line: int

    @property
    def word(self) -> str:
        """The word in lower case, empty for anything else: `Select` and `SELECT` are the same, `"select"` is not."""
        return self.text.lower() if self.kind is Kind.WORD else ""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Args:
        text: From its first token to its last; no semicolon, no comments around it.
        line: Line of its first token, from 1.
        tokens: Its tokens without comments; `start` and `line` are those in the whole text.
    """

    text: str
    line: int
    tokens: tuple[Token, ...]


_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"
# Blanks between two parts of one string, with at least one line end; "--" comments count as blanks.
_GOES_ON: Final = r"(?>[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?>\s++|--[^\n\r]*+[\n\r])*+"
_TOKEN: Final = re.compile(
    rf"""
    (?P<blank>\s++)
  | (?P<line>--[^\n\r]*+)
  | (?P<block>/\*)
  | (?P<escaped>[eE]'(?>[^'\\]|\\.|''|'{_GOES_ON}')*+(?:'|\\?\Z))
  | (?P<string>'(?>[^']|'')*+(?:'|\Z))
  | (?P<quoted>"(?>[^"]|"")*+(?:"|\Z))
  | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*+)?\$)
  | (?P<word>[{_LETTER}][{_LETTER}0-9$]*+)
  | (?P<number>[0-9]++)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {
    "line": Kind.COMMENT,
    "block": Kind.COMMENT,
    "escaped": Kind.STRING,
    "string": Kind.STRING,
    "dollar": Kind.STRING,
    "quoted": Kind.QUOTED,
    "word": Kind.WORD,
}
_BODY: Final = {"begin", "case", "end"}
_BLOCK: Final = re.compile(r"/\*|\*/")


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text in order; what is not closed goes on to the end, and the server will refuse it."""
    at, line = 0, 1
    while found := _TOKEN.match(text, at):
        group = found.lastgroup or ""
        end = found.end()
        if group == "block" and (closing := _after_block(text, end)):
            end = closing
        elif group == "block":
            group, end = "unclosed", len(text)
        elif group == "dollar":
            closing = text.find(found[0], end)
            end = closing + len(found[0]) if closing >= 0 else len(text)
        if group != "blank":
            yield Token(_KINDS.get(group, Kind.SYMBOL), text[at:end], at, line)
        line += text.count("\n", at, end)
        at = end


def split(text: str) -> list[Statement]:
    """Return the statements of a text in order, empty ones left out."""
    found: list[Statement] = []
    gathered: list[Token] = []
    parentheses, body = 0, 0
    for each in tokens(text):
        if each.kind is Kind.COMMENT:
            continue
        if each.text == ";" and not parentheses and not body:
            found += _statement(text, gathered)
            gathered = []
            continue
        if not gathered:
            parentheses = body = 0
        gathered.append(each)
        if each.text == "(":
            parentheses += 1
        elif each.text == ")":
            parentheses = max(0, parentheses - 1)
        elif each.word in _BODY and not parentheses and _is_routine(gathered):
            body = _depth(each.word, body)
    return found + _statement(text, gathered)


def _statement(text: str, gathered: list[Token]) -> list[Statement]:
    if not gathered:
        return []
    first, last = gathered[0], gathered[-1]
    return [Statement(text[first.start : last.start + len(last.text)], first.line, tuple(gathered))]


def _is_routine(gathered: list[Token]) -> bool:
    words = [each.word for each in gathered[:4]]
    if words[:3] == ["create", "or", "replace"]:
        words = words[2:]
    return words[:1] in (["create"], ["replace"]) and words[1:2] in (["function"], ["procedure"])


def _depth(word: str, depth: int) -> int:
    """Return how deep in BEGIN ATOMIC ... END, where CASE ... END is one more, the text after a word is."""
    if word == "end":
        return max(0, depth - 1)
    return depth + 1 if word == "begin" or depth else 0


def _after_block(text: str, at: int) -> int:
    depth = 1
    while found := _BLOCK.search(text, at):
        at = found.end()
        depth += 1 if found[0] == "/*" else -1
        if not depth:
            return at
    return 0
