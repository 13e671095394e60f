"""Read and extend `.env.local`: NAME=value lines that shells, Node and Python's dotenv understand alike.

Names are only ever appended: what a person wrote, its order and its comments stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ops.kernel.errors import ConfigurationError

_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=?-]*")
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_IGNORED = re.compile(r"[ \t]*(?:#.*)?")
_ENDS_BARE = re.compile(r"[ \t]#.*|[ \t]+$")
_IN_QUOTES = {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class Line:
    """A variable for the file.

    Args:
        name: Its name.
        value: Its value, empty for one that a person has to fill in.
        comment: One line above it, may be empty.
    """

    name: str
    value: str
    comment: str = ""


def parse(content: bytes, shown: str) -> dict[str, str]:
    r"""Return the variables of a file; of a name that stands twice the last value.

    Values are literal: `$OTHER` is not replaced. In double quotes \n, \", \\ and \$ are escapes.

    Args:
        content: The file.
        shown: Its name for messages.

    Raises:
        ConfigurationError: A line is not NAME=value, or a quote has no end.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{shown} is not text in UTF-8", hint=f"iconv -t UTF-8 {shown}"
        ) from error
    if "\0" in text:
        raise ConfigurationError(
            f"{shown} holds a NUL character", hint=f"write {shown} anew: inv setup"
        )
    return dict(_assignments(text, shown))


def _assignments(text: str, shown: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        if _IGNORED.fullmatch(text, at, end):
            at = end + 1
            continue
        place = f"{shown}:{text.count(chr(10), 0, at) + 1}"
        assignment = _ASSIGNMENT.match(text, at)
        if assignment is None:
            raise ConfigurationError(
                f"{place} is not NAME=value", hint=f"correct that line of {shown}"
            )
        value, end = _value(text, assignment.end(), place)
        yield assignment.group(1), value
        at = end + 1


def _value(text: str, at: int, place: str) -> tuple[str, int]:
    """Return the value that begins at `at`, and where its line ends."""
    quote = text[at : at + 1]
    if quote not in _IN_QUOTES:
        end = _line_end(text, at)
        return _ENDS_BARE.sub("", f" {text[at:end]}").strip(), end
    quoted = _IN_QUOTES[quote].match(text, at)
    if quoted is None:
        raise ConfigurationError(
            f"{place} has a quote without an end", hint=f"close the {quote} of that value"
        )
    end = _line_end(text, quoted.end())
    if not _IGNORED.fullmatch(text, quoted.end(), end):
        raise ConfigurationError(
            f"{place} has text after the closing quote", hint="quote the whole value"
        )
    value = quoted.group(1)
    return (_unescaped(value) if quote == '"' else value), end


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), value, flags=re.DOTALL)


def quoted(value: str) -> str:
    """Return a value as it stands in the file: bare when it is plain, else in quotes."""
    if _BARE.fullmatch(value):
        return value
    if "'" not in value and "\r" not in value:
        return f"'{value}'"
    escaped = re.sub(r'[\\"$`]', lambda found: f"\\{found[0]}", value)
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


def appended(content: bytes, lines: Iterable[Line]) -> bytes:
    """Return what to add to a file so that it holds these variables as well."""
    text = "" if not content or content.endswith(b"\n") else "\n"
    for each in lines:
        text += f"# {each.comment}\n" if each.comment else ""
        text += f"{each.name}={quoted(each.value)}\n"
    return text.encode()
