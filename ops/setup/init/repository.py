"""The files of a repository, read forgivingly: what cannot be read is noted and the rest goes on."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, Final

# Invoke's own copy of PyYAML, which it reads invoke.yaml with: one dependency less.
from invoke.vendor import yaml

DEEPEST: Final = 7
MOST_FILES: Final = 20_000
LONGEST: Final = 1_000_000
"""Bytes of a file that is still read."""
_SKIPPED: Final = frozenset(
    [
        "__pycache__",
        "bower_components",
        "build",
        "coverage",
        "dist",
        "doc",
        "docs",
        "e2e",
        "example",
        "examples",
        "fixtures",
        "node_modules",
        "out",
        "site-packages",
        "spec",
        "target",
        "test",
        "testdata",
        "tests",
        "third_party",
        "vendor",
    ]
)


@dataclass(frozen=True)
class Unread:
    """A file that could not be read.

    Args:
        file: Its path in the repository.
        line: Line of the fault, 0 when unknown.
        why: What is wrong with it.
    """

    file: str
    line: int
    why: str

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass
class Repository:
    """What lies below a folder, without dependencies, builds, tests and examples.

    Args:
        folder: The folder.
        files: Paths below it, those near the top first.
        unread: What could not be read so far.
        complete: Whether every file was seen.
    """

    folder: Path
    files: tuple[PurePosixPath, ...] = ()
    unread: list[Unread] = field(default_factory=list)
    complete: bool = True

    def __post_init__(self) -> None:
        """List the files."""
        found: list[PurePosixPath] = []
        for path in _walk(self.folder):
            if len(found) == MOST_FILES:
                self.complete = False
                break
            found.append(path)
        self.files = tuple(sorted(found, key=lambda each: (len(each.parts), str(each))))

    def named(self, *patterns: str) -> list[PurePosixPath]:
        """Return the files whose name matches one of the patterns, those near the top first."""
        return [each for each in self.files if any(fnmatch(each.name, one) for one in patterns)]

    def has(self, path: PurePosixPath) -> bool:
        """Say whether there is such a file."""
        return path in self.files

    def note(self, path: PurePosixPath, line: int, why: str) -> None:
        """Note that a file could not be read; once."""
        unread = Unread(str(path), line, why)
        if unread not in self.unread:
            self.unread.append(unread)

    def text(self, path: PurePosixPath) -> str:
        """Return a file's text; empty when it cannot be read."""
        try:
            with (self.folder / path).open("rb") as stream:
                data = stream.read(LONGEST + 1)
            if len(data) > LONGEST:
                self.note(path, 0, "is longer than 1 MB")
                return ""
            return data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            self.note(path, error.object.count(b"\n", 0, error.start) + 1, "is not UTF-8")
        except OSError as error:
            self.note(path, 0, f"cannot be read: {error.strerror}")
        return ""

    def toml(self, path: PurePosixPath) -> dict[str, Any]:
        """Return a TOML file's content; empty when it is wrong."""
        return self._table(path, _toml)

    def json(self, path: PurePosixPath) -> dict[str, Any]:
        """Return a JSON file's content; empty when it is wrong or no object."""
        return self._table(path, _json)

    def yaml(self, path: PurePosixPath) -> dict[str, Any]:
        """Return a YAML file's content; empty when it is wrong or no mapping."""
        return self._table(path, _yaml)

    def _table(self, path: PurePosixPath, parse: Callable[[str], Any]) -> dict[str, Any]:
        text = self.text(path)
        if not text.strip():
            return {}
        try:
            found = parse(text)
        except Wrong as error:
            self.note(path, error.line, error.why)
            return {}
        except RecursionError:
            self.note(path, 0, "is nested too deeply")
            return {}
        if not isinstance(found, dict):
            self.note(path, 1, "holds no table of keys and values")
            return {}
        return {str(key): value for key, value in found.items()}


class Wrong(Exception):
    """A text is not what it should be.

    Args:
        line: Where.
        why: Why.
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line, self.why = line, why


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(at[1]) if at and at[1] else text.count("\n") + 1
        raise Wrong(line, f"is not TOML: {str(error)[: at.start() if at else None]}") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Wrong(error.lineno, f"is not JSON: {error.msg}") from error


def _yaml(text: str) -> Any:
    try:
        return _Loader(text).get_single_data()  # type: ignore[no-untyped-call]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise Wrong(mark.line + 1 if mark else 1, f"is not YAML: {why}") from error
    except (ValueError, TypeError) as error:  # a date that does not exist, a key that is a list
        raise Wrong(1, f"is not YAML: {error}") from error


class _Loader(yaml.SafeLoader):
    """Reads tags of Compose and Helm, such as !reset, as plain values."""


def _untagged(loader: Any, _: str, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _untagged)  # type: ignore[no-untyped-call]


def _walk(folder: Path) -> Iterator[PurePosixPath]:
    for place, folders, files in os.walk(folder):
        here = PurePosixPath(Path(place).relative_to(folder).as_posix())
        deep = len(here.parts) >= DEEPEST
        folders[:] = [] if deep else sorted(each for each in folders if _is_source(place, each))
        yield from (here / name for name in sorted(files))


def _is_source(place: str, name: str) -> bool:
    if name.startswith(".") or name in _SKIPPED or name.endswith(".egg-info"):
        return False
    return not os.path.exists(os.path.join(place, name, "pyvenv.cfg"))
