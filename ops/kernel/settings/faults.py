"""Faults of settings: what is wrong, where, and what was probably meant; all of them at once."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ops.kernel.errors import ConfigurationError

_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a table"),
    (datetime.date, "a date"),
    (datetime.time, "a time"),
)
_EXPECTED: Final = {
    "string_type": "text in quotes",
    "path_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
}


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong.

    Args:
        file: The file as shown to a person; empty for a variable or an argument.
        line: Line in it, 0 when unknown.
        key: Dotted key, name of a variable, or "--env".
        what: What is wrong with it; never holds a secret value.
    """

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key} {self.what}" if place else f"{self.key} {self.what}"


class WrongSettings(ConfigurationError):
    """The settings have faults.

    Args:
        faults: All of them.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        lines = [str(fault) for fault in self.faults]
        header = f"{len(lines)} settings are wrong"
        what = (
            lines[0] if len(lines) == 1 else "\n".join([header, *(f"  {line}" for line in lines)])
        )
        super().__init__(what, hint="correct it, then: inv config.check")


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the nearest choice, else nothing."""
    by_lower = {choice.lower(): choice for choice in choices}
    text = str(word)[:60].lower()
    near = [each for each in by_lower if len(text) > 2 and each.startswith(text)]
    near += difflib.get_close_matches(text, list(by_lower), n=1, cutoff=0.6)
    return f", did you mean {by_lower[near[0]]!r}?" if near else ""


def one_of(choices: Sequence[str]) -> str:
    """Return "'a', 'b' or 'c'"."""
    quoted = [repr(choice) for choice in choices]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def describe(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Say in plain words what pydantic found wrong with a value of `model`; show no secret."""
    kind, value = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"is not a known key{did_you_mean(error['loc'][-1], _keys(model, error))}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        choices = [str(each) for each in _choices(model, error)]
        shown = repr(value) if isinstance(value, str) else _kind(value)
        return f"must be {one_of(choices)}, not {shown}{did_you_mean(value, choices)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"must be {bound}, not {value}"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, not {_kind(value)}"
    return error["msg"]


def _keys(model: type[BaseModel], error: ErrorDetails) -> Iterable[str]:
    """Return the keys of the table that a wrong one stands in, which may be a table of the section."""
    for part in error["loc"][:-1]:
        inner = model.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model.model_fields


def _choices(model: type[BaseModel], error: ErrorDetails) -> Sequence[object]:
    schema = model.model_json_schema()["properties"][error["loc"][0]]
    found = schema if "anyOf" not in schema else schema["anyOf"][0]
    choices: Sequence[object] = found.get("enum") or [found["const"]]
    return choices


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)
