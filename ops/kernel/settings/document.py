"""Find and parse ops.toml; validate each section by itself so that every fault is found."""

from __future__ import annotations

import contextlib
import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ops.kernel import files
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import data, faults, lines, models
from ops.kernel.settings.faults import Fault, WrongSettings
from ops.kernel.settings.lines import KeyPath
from ops.kernel.settings.model import Model
from ops.kernel.settings.values import Name

FILE: Final = "ops.toml"
SECTIONS: Final[Mapping[str, type[Model]]] = {
    "app": models.App,
    "python": models.Python,
    "database": data.Database,
    "migrations": data.Migrations,
    "backup": data.Backup,
    "maintenance": data.Maintenance,
    "compose": models.Compose,
    "hooks": models.Hooks,
}
GROUPS: Final[Mapping[str, type[Model]]] = {
    "services": models.Service,
    "cleanup": data.Cleanup,
    "environments": models.Environment,
}
_STAND_INS: Final[Mapping[type[Model], dict[str, str]]] = {
    models.App: {"name": "app"},
    models.Environment: {"target": "local"},
}
_NAMES: Final = TypeAdapter(Name)
M = TypeVar("M", bound=Model)


@dataclass
class Parsed:
    """An ops.toml as it was read.

    Args:
        file: Its absolute path.
        raw: What it says.
        lines: Where it says it.
        faults: What is wrong with it so far.
        valid: Each section that can be used, by path, e.g. ("services", "backend").
        partial: Those of them that have faults, which are left out.
    """

    file: Path
    raw: dict[str, Any]
    lines: Mapping[KeyPath, int]
    faults: list[Fault] = field(default_factory=list)
    valid: dict[KeyPath, Model] = field(default_factory=dict)
    partial: set[KeyPath] = field(default_factory=set)

    def fault(self, path: KeyPath, what: str) -> None:
        """Note that something is wrong with the value at `path`."""
        line = lines.nearest(self.lines, path)
        self.faults.append(Fault(shown(self.file), line, dotted(path), what))

    @property
    def environments(self) -> list[str]:
        """Names of all environments, also of wrong ones."""
        found = self.raw.get("environments")
        return list(found) if isinstance(found, dict) else []

    def one(self, name: str, kind: type[M]) -> M | None:
        """Return a section when it is there and right."""
        found = self.valid.get((name,))
        return found if isinstance(found, kind) else None

    def group(self, name: str, kind: type[M]) -> dict[str, M]:
        """Return the right ones of [name.*] by name."""
        every = self.valid.items()
        return {
            str(path[1]): each
            for path, each in every
            if path[0] == name and len(path) == 2 and isinstance(each, kind)
        }


def dotted(path: KeyPath) -> str:
    """Return `services.backend.route[0]` for a path; keys that are not plain stand in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if plain else repr(part[:60]))
    return text


def shown(file: Path) -> str:
    """Return a file as a person wants to see it: relative if it is in the current folder."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def find(start: Path | None) -> Path:
    """Return the nearest ops.toml in `start` or above; None is the current folder.

    Raises:
        ConfigurationError: There is none.
        NotPermitted: A folder cannot be entered.
    """
    if start is None:
        with files.translated("cannot find the current folder"):
            start = Path.cwd()
    with files.translated(f"cannot look for {FILE} in {start}"):
        folder = start.resolve()  # one project has one name, also behind a link
        for each in (folder, *folder.parents):
            if (each / FILE).is_file():
                return each / FILE
    raise ConfigurationError(
        f"no {FILE} in {folder} or above it",
        hint="go to your project, or write one there: invops init",
    )


def read(file: Path) -> Parsed:
    """Parse a file and validate its sections.

    Raises:
        WrongSettings: It is not TOML.
        NotPermitted: It cannot be read.
    """
    with files.translated(f"cannot read {shown(file)}"):
        content = file.read_bytes()
    return parse(file, content)


def parse(file: Path, content: bytes) -> Parsed:
    """Parse the content of a file and validate its sections.

    Raises:
        WrongSettings: It is not TOML.
    """
    try:
        # Editors on Windows write a byte order mark, which TOML does not know.
        text = content.decode("utf-8-sig")
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise WrongSettings([Fault(shown(file), line, "the file", "is not UTF-8")]) from error
    except (ValueError, RecursionError) as error:
        raise WrongSettings([_not_toml(file, content, error)]) from error
    parsed = Parsed(file, raw, lines.index(text.replace("\r\n", "\n")))
    _validate(parsed)
    return parsed


def _not_toml(file: Path, data: bytes, error: Exception) -> Fault:
    if isinstance(error, RecursionError):
        return Fault(shown(file), 0, "the file", "is nested too deeply")
    message = str(error)
    at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    line = int(at[1]) if at and at[1] else data.count(b"\n") + 1 if at else 0
    reason = message[: at.start()] if at else message
    column = f" (column {at[2]})" if at and at[2] else " (at the end of the file)" if at else ""
    return Fault(shown(file), line, "the file", f"is not TOML: {reason}{column}")


def _validate(parsed: Parsed) -> None:
    for name in parsed.raw:
        if name not in SECTIONS and name not in GROUPS:
            near = faults.did_you_mean(name, [*SECTIONS, *GROUPS])
            parsed.fault((name,), f"is not a known section{near}")
    for required in ("app", "environments"):
        if required not in parsed.raw or (required == "environments" and not parsed.raw[required]):
            header = "[app]" if required == "app" else "[environments.NAME]"
            parsed.faults.append(Fault(shown(parsed.file), 0, header, "is missing"))
    for name, model in SECTIONS.items():
        if name in parsed.raw:
            _section(parsed, (name,), model, parsed.raw[name])
    for name, model in GROUPS.items():
        group = parsed.raw.get(name, {})
        if not isinstance(group, dict):
            parsed.fault((name,), f"must be tables: [{name}.NAME]")
            continue
        for key, value in group.items():
            _name(parsed, (name, key))
            _section(parsed, (name, key), model, value)


def _name(parsed: Parsed, path: KeyPath) -> None:
    try:
        _NAMES.validate_python(path[-1])
    except ValidationError as error:
        rule = str(error.errors()[0]["ctx"]["error"]).partition(", not ")[0]
        parsed.fault(path, f"is not a good name: it {rule}")


def _section(parsed: Parsed, path: KeyPath, model: type[Model], value: object) -> None:
    try:
        parsed.valid[path] = model.model_validate(value)
        return
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    kept = copy.deepcopy(value)
    for each in wrong:
        where = tuple(part for part in each["loc"] if part != "[key]")
        if not _filled_in(value, each):
            parsed.fault((*path, *where), faults.describe(each, model))
        _drop(kept, where[:2] if where[:1] in (("environment",), ("secrets",)) else where[:1])
    # What is left is compared with other sections, so that those faults show at the same time.
    if isinstance(kept, dict):
        with contextlib.suppress(ValidationError):
            parsed.valid[path] = model.model_validate({**_STAND_INS.get(model, {}), **kept})
            parsed.partial.add(path)


def _filled_in(value: object, error: ErrorDetails) -> bool:
    """Say whether the wrong value is a copy of another one, whose fault is enough."""
    return error["type"] != "missing" and isinstance(value, dict) and error["loc"][0] not in value


def _drop(value: object, where: KeyPath) -> None:
    for part in where[:-1]:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict) and where:
        value.pop(where[-1], None)
