"""Turn a command that listens in a container into one of ops.toml, with {socket} or {port}."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_PORT: Final = re.compile(r"\$\{PORT(?::?-(\d+))?\}|\$PORT\b")
_SHELLS: Final = ("sh", "bash", "ash", "dash")
_WRAPPERS: Final = ("exec", "tini", "dumb-init", "--")
_RUNNERS: Final = {"uv": "run", "poetry": "run", "pipenv": "run", "pdm": "run", "hatch": "run"}
_PLAIN: Final = re.compile(r"[\w@%+=:,./{}\[\]~^-]+")


@dataclass(frozen=True)
class Server:
    """A server whose command line is known.

    Args:
        dropped: Options with a value that say where it listens.
        flags: Options without a value that only help while developing.
        listen: What says it in ops.toml.
    """

    dropped: tuple[str, ...]
    flags: tuple[str, ...]
    listen: tuple[str, ...]


SERVERS: Final = {
    "uvicorn": Server(("--host", "--port", "--uds", "--fd"), ("--reload",), ("--uds", "{socket}")),
    "hypercorn": Server(("-b", "--bind"), ("--reload",), ("--bind", "unix:{socket}")),
    "gunicorn": Server(("-b", "--bind"), ("--reload",), ("--bind", "unix:{socket}")),
    "daphne": Server(("-b", "--bind", "-p", "--port", "-u"), (), ("-u", "{socket}")),
    "fastapi": Server(
        ("--host", "--port"), ("--reload",), ("--host", "127.0.0.1", "--port", "{port}")
    ),
    "granian": Server(
        ("--host", "--port"), ("--reload",), ("--host", "127.0.0.1", "--port", "{port}")
    ),
    "waitress-serve": Server(("--host", "--port", "--listen"), (), ("--listen=127.0.0.1:{port}",)),
}


@dataclass
class Converted:
    """A command of ops.toml.

    Args:
        command: The command, empty when nothing usable is left.
        port: Port that it named.
        listens: Whether it takes requests.
        doubts: What a person should check.
    """

    command: str = ""
    port: int | None = None
    listens: bool = False
    doubts: list[str] = field(default_factory=list)


def convert(given: str | Sequence[object]) -> Converted:
    """Convert a command line, as a text or as a list of words."""
    made = Converted()
    words = _unwrapped(_words(given, made), made)
    if not words:
        return made
    name = _server(words)
    if name:
        words = _rewritten(words, SERVERS[name], made)
        made.listens = True
    else:
        words = [_listening(word, at, words, made) for at, word in enumerate(words)]
    made.command = join(words)
    return made


def join(words: Sequence[str]) -> str:
    """Return words as one command; unlike shlex.join it leaves {socket} without quotes."""
    return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words)


def module_of(command: str) -> str:
    """Return the module in `module:object`, or after -m; empty when there is none."""
    words = command.split()
    if "-m" in words[:-1] and not any(":" in word and "/" not in word for word in words):
        return words[words.index("-m") + 1]
    for word in words:
        found = re.fullmatch(r"([A-Za-z_][\w.]*):[\w.]+(\(\))?", word.strip("'\""))
        if found:
            return found[1]
    return ""


def _words(given: str | Sequence[object], made: Converted) -> list[str]:
    if not isinstance(given, str):
        return [str(each) for each in given]
    try:
        return shlex.split(given)
    except ValueError:
        made.doubts.append(f"the command has an open quote: {given[:80]}")
        return []


def _unwrapped(words: list[str], made: Converted) -> list[str]:
    """Take shells, init programs, package managers' runners and variables away."""
    variables: list[str] = []
    while words:
        base = words[0].rpartition("/")[2]
        if re.match(r"[A-Za-z_]\w*=", words[0]):
            variables.append(words[0])
            words = words[1:]
        elif base in _SHELLS and len(words) > 2 and words[1] in ("-c", "-lc", "-ec"):
            words = _last_command(words[2], made)
        elif base in _WRAPPERS:
            words = words[1:]
        elif base in _RUNNERS and words[1:2] == [_RUNNERS[base]]:
            words = words[2:]
            while words and words[0].startswith("-"):
                words = words[1:]
        else:
            break
    if variables:
        words = ["env", *variables, *words]
    ported = [_ported(word, made) for word in words]
    return [each for each in ported if each]


def _last_command(text: str, made: Converted) -> list[str]:
    *before, last = re.split(r"&&|;|\n", text.strip().rstrip(";"))
    for each in filter(None, (one.strip() for one in before)):
        made.doubts.append(f"it ran `{each}` first: make that a hook if it is still needed")
    return _words(last, made)


def _ported(word: str, made: Converted) -> str:
    """Escape braces, except in variables of a shell; $PORT is {port}."""
    found = _PORT.search(word)
    if found:
        made.port = made.port or (int(found[1]) if found[1] else None)
        made.listens = True
        parts = _PORT.sub("\0", word)
        return parts.replace("{", "{{").replace("}", "}}").replace("\0", "{port}")
    if "$" in word:
        made.doubts.append(f"{word[:60]} needs a shell: write the value itself")
    return word.replace("{", "{{").replace("}", "}}")


def _server(words: Sequence[str]) -> str:
    first = words[0].rpartition("/")[2]
    if first.startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
        first = words[2]
    elif first == "env":
        first = next((one for one in words[1:] if "=" not in one), "").rpartition("/")[2]
    return first if first in SERVERS else ""


def _rewritten(words: Sequence[str], server: Server, made: Converted) -> list[str]:
    """Replace what says where a known server listens."""
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in server.flags:
            continue
        if option in server.dropped:
            value = value if equals else (rest.pop(0) if rest else "")
            made.port = made.port or _number(value)
        else:
            kept.append(word)
    return [*kept, *server.listen]


def _listening(word: str, at: int, words: Sequence[str], made: Converted) -> str:
    """Replace a port and the address for everybody in a command that is not known."""
    before = words[at - 1] if at else ""
    option, equals, value = word.partition("=")
    if before in ("--port", "-p", "--listen-port") and word.isdigit():
        made.port, made.listens = int(word), True
        return "{port}"
    if equals and option in ("--port", "-p", "PORT") and value.isdigit():
        made.port, made.listens = int(value), True
        return f"{option}={{port}}"
    address = re.fullmatch(r"(?:0\.0\.0\.0|\[::\]|127\.0\.0\.1|localhost)?:(\d{2,5})", word)
    if address:
        made.port, made.listens = int(address[1]), True
        return "127.0.0.1:{port}"
    if word == "0.0.0.0":  # nosec B104
        return "127.0.0.1"
    if "{port}" in word:
        return word.replace("0.0.0.0", "127.0.0.1")  # nosec B104
    return word


def _number(text: str) -> int | None:
    found = re.search(r"(\d{2,5})$", text)
    return int(found[1]) if found else None
