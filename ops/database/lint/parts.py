"""What rules look at: statements that run when the migration runs, and the names in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ops.database import statements
from ops.database.statements import Kind, Statement, Token

# How PL/pgSQL leads to a statement: the word, and the word after which the statement begins.
_LEADS: Final = {
    "begin": "begin",
    "else": "else",
    "loop": "loop",
    "if": "then",
    "elsif": "then",
    "elseif": "then",
    "when": "then",
    "exception": "then",
    "for": "loop",
    "foreach": "loop",
    "while": "loop",
}


@dataclass(frozen=True)
class Part:
    """A statement that runs: one of the file, or one inside a DO block.

    Args:
        tokens: Without comments.
        line: Of its first token, from 1.
    """

    tokens: Sequence[Token]
    line: int

    def starts(self, *words: str) -> bool:
        """Say whether these are its first words."""
        return self.words(0, len(words)) == words

    def words(self, start: int, end: int) -> tuple[str, ...]:
        """Return some tokens as words, empty for what is none."""
        return tuple(each.word for each in self.tokens[start:end])

    def find(self, *words: str, start: int = 0) -> int:
        """Return the index of the first place with these words one after the other, -1 without."""
        for at in range(start, len(self.tokens) - len(words) + 1):
            if self.words(at, at + len(words)) == words:
                return at
        return -1

    def name(self, at: int) -> str:
        """Return the name that begins at a token, with its schema if written: "public.orders"; empty for none."""
        pieces: list[str] = []
        while at < len(self.tokens):
            piece = plain(self.tokens[at])
            if not piece:
                break
            pieces.append(piece)
            if at + 1 == len(self.tokens) or self.tokens[at + 1].text != ".":
                break
            at += 2
        return ".".join(pieces)

    def after(self, at: int, *optional: str) -> int:
        """Return the index behind optional words such as IF EXISTS."""
        return at + len(optional) if self.words(at, at + len(optional)) == optional else at


def plain(token: Token) -> str:
    """Return a name as the catalog has it, empty when the token is none."""
    if token.kind is Kind.QUOTED:
        return token.text[1:-1].replace('""', '"')
    return token.word


def parts(text: str) -> list[Part]:
    """Return what runs; bodies of functions do not, those of DO blocks do."""
    found: list[Part] = []
    for each in statements.split(text):
        found.append(Part(each.tokens, each.line))
        if each.tokens[0].word == "do":
            found += _of_block(each)
    return found


def _of_block(block: Statement) -> Iterator[Part]:
    body = next((each for each in block.tokens if each.kind is Kind.STRING), None)
    if body is None:
        return
    if body.text.startswith("$"):
        quote = body.text.index("$", 1) + 1
        inner = body.text[quote:-quote]
    else:
        inner = body.text.strip("eE")[1:-1].replace("''", "'")
    for each in statements.split(inner):
        tokens = [token._replace(line=body.line + token.line - 1) for token in _led(each.tokens)]
        if tokens:
            yield Part(tokens, tokens[0].line)


def _led(tokens: Iterable[Token]) -> Iterator[Token]:
    """Leave out what only leads to a statement: `IF a THEN UPDATE ...` is `UPDATE ...`."""
    until = ""
    leading = True
    for each in tokens:
        if leading and not until:
            until = _LEADS.get(each.word, "")
            leading = bool(until)
        if not leading:
            yield each
        elif each.word == until:
            until = ""
