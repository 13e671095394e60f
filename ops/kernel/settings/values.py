"""The kinds of values in ops.toml: what each accepts, and what it says when it does not."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

NAME_PATTERN: Final = r"[a-z][a-z0-9-]{0,30}"
VARIABLE_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*"
DATABASE_PATTERN: Final = r"[a-z][a-z0-9_]{0,29}"
DURATION_PATTERN: Final = r"(\d+(?:\.\d+)?)\s*([smh])"
ROUTE_PATTERN: Final = r"/[A-Za-z0-9._~!$&()*+,;=:@%/-]*"
SIZE_PATTERN: Final = r"(\d+(?:\.\d+)?)\s*([MGT]B)"
AGE_PATTERN: Final = r"(\d+)\s*([hdw])"
WAVE_PATTERN: Final = r"(?:[1-9][0-9]?|100)%"
EXTENSION_PATTERN: Final = (
    r"(?:([a-z_][a-z0-9_]{0,62})\.)?([a-z][a-z0-9_-]{0,62})(?:@([0-9A-Za-z._-]+))?"
)
LONGEST_SECONDS: Final = 24 * 3600.0
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_BYTES: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_SHELL_WORDS: Final = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1"})


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return _text(value)


def _matching(pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {rule}, not {value[:60]!r}")
        return value

    return AfterValidator(check)


def command_words(command: str) -> list[str]:
    """Split a command like a shell does.

    Raises:
        ValueError: It is empty, has an open quote, or needs a shell.
    """
    try:
        words = shlex.split(_filled(command))
    except ValueError as error:
        text = str(error)
        raise ValueError("has an open quote" if "quotation" in text else text) from None
    if not words[0]:
        raise ValueError("must not be empty")
    needs_shell = next((word for word in words if word in _SHELL_WORDS), "")
    if needs_shell:
        raise ValueError(f'runs without a shell, {needs_shell!r} needs one: sh -c "..."')
    if re.match(rf"{VARIABLE_PATTERN}=", words[0]):
        raise ValueError(f"runs without a shell: write env {words[0].split('=')[0]}=... before it")
    return words


def _command(value: str) -> str:
    command_words(value)
    return value


def seconds(value: object) -> float:
    """Read a duration: a number of seconds, or "35s", "2m", "1h".

    Raises:
        ValueError: It is none of these, not above zero, or longer than a day.
    """
    found = re.fullmatch(DURATION_PATTERN, value.strip()) if isinstance(value, str) else None
    if found:
        result = float(found[1]) * _UNITS[found[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = min(value, 2 * LONGEST_SECONDS) * 1.0
    else:
        raise ValueError(f'must be a duration such as "35s", "2m" or 30 (seconds), not {value!r}')
    if math.isnan(result) or not 0 < result <= LONGEST_SECONDS:
        raise ValueError(f'must be above 0 and at most "24h", not {value!r}')
    return result


def pause(value: object) -> float:
    """Read a duration that may be none: "0s", or as `seconds`.

    Raises:
        ValueError: It is neither.
    """
    none = isinstance(value, str) and re.fullmatch(r"0\s*[smh]", value.strip())
    return 0.0 if none or (value == 0 and not isinstance(value, bool)) else seconds(value)


def shares(value: object) -> object:
    """Read the shares of a roll-out in percent: rising, and all of it at last.

    Raises:
        ValueError: They are not.
    """
    given = value if isinstance(value, list | tuple) else []
    percents = [each for each in given if type(each) is int and 0 < each <= 100]
    if percents != list(given) or percents != sorted({*percents, 100}):
        raise ValueError(f"must be rising percents that end with 100: [5, 25, 100], not {value!r}")
    return value


def wave(value: object) -> object:
    """Read how many hosts are switched at once: a number, or a part of them such as "50%".

    Raises:
        ValueError: It is neither.
    """
    count = type(value) is int and 1 <= value <= 1000
    percent = isinstance(value, str) and re.fullmatch(WAVE_PATTERN, value)
    if not (count or percent):
        raise ValueError(
            f'must be a number of hosts or a part of them such as "50%", not {value!r}'
        )
    return value


def age(value: object) -> float:
    """Read how old something may become: "36h", "90d", "12w".

    Raises:
        ValueError: It is none of these, or zero.
    """
    found = re.fullmatch(AGE_PATTERN, value.strip()) if isinstance(value, str) else None
    if not found or int(found[1]) == 0 or len(found[1]) > 5:
        raise ValueError(f'must be an age such as "36h", "90d" or "12w", not {str(value)[:60]!r}')
    return int(found[1]) * _UNITS[found[2]]


def size(value: object) -> int:
    """Read a size such as "5GB" and return bytes.

    Raises:
        ValueError: It is none, or zero.
    """
    found = re.fullmatch(SIZE_PATTERN, value.strip()) if isinstance(value, str) else None
    result = int(float(found[1]) * _BYTES[found[2]]) if found and len(found[1]) <= 10 else 0
    if not result:
        raise ValueError(f'must be a size such as "500MB" or "5GB", not {str(value)[:60]!r}')
    return result


def _relative(value: Path) -> Path:
    text = str(value)
    _text(text)
    if value.is_absolute() or text.startswith("~"):
        raise ValueError(f"must be relative to the project, not {text!r}")
    return value


def _not_blank(value: object) -> object:
    if isinstance(value, str):
        _filled(value)
    return value


K = TypeVar("K")
V = TypeVar("V")


def _read_only(value: Mapping[K, V]) -> Mapping[K, V]:
    return MappingProxyType(dict(value))


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Text = Annotated[str, StringConstraints(strict=True), AfterValidator(_text)]
Filled = Annotated[str, StringConstraints(strict=True), AfterValidator(_filled)]
Name = Annotated[
    str,
    _matching(
        NAME_PATTERN,
        "a lower-case letter, then at most 30 lower-case letters, digits or '-'",
    ),
    _schema(NAME_PATTERN),
]
VariableName = Annotated[
    str,
    _matching(VARIABLE_PATTERN, "a variable's name (letters, digits, '_')"),
    _schema(VARIABLE_PATTERN),
]
DatabaseName = Annotated[
    str,
    _matching(
        DATABASE_PATTERN, "a lower-case letter, then at most 29 lower-case letters, digits or '_'"
    ),
    _schema(DATABASE_PATTERN),
]
Route = Annotated[
    str,
    _matching(ROUTE_PATTERN, 'a path prefix such as "/api"'),
    _schema(ROUTE_PATTERN),
]
Command = Annotated[str, AfterValidator(_command)]
Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": f"^{DURATION_PATTERN}$"}, {"type": "number"}]}
    ),
]
Pause = Annotated[
    float,
    BeforeValidator(pause),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": f"^{DURATION_PATTERN}$"}, {"type": "number"}]}
    ),
]
Shares = Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=100)], ...], BeforeValidator(shares)]
Wave = Annotated[
    StrictInt | Text,
    BeforeValidator(wave),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 1000},
                {"type": "string", "pattern": f"^{WAVE_PATTERN}$"},
            ]
        }
    ),
]
Points = Annotated[float, Field(ge=0, le=100, strict=True)]
Factor = Annotated[float, Field(ge=1, le=1000, strict=True)]
Age = Annotated[
    float,
    BeforeValidator(age),
    WithJsonSchema({"type": "string", "pattern": f"^{AGE_PATTERN}$"}),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    PlainSerializer(lambda value: f"{value // 10**6}MB", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{SIZE_PATTERN}$"}),
]
Extension = Annotated[
    str,
    _matching(
        EXTENSION_PATTERN, 'an extension: "vector", "pg_trgm@1.6" or "extensions.pg_trgm@1.6"'
    ),
    _schema(EXTENSION_PATTERN),
]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Count = Annotated[StrictInt, Field(ge=1, le=1000)]
Kept = Annotated[StrictInt, Field(ge=0, le=1000)]
Percent = Annotated[StrictInt, Field(ge=1, le=99)]
Rows = Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]
Flag = StrictBool
Inside = Annotated[
    Path, BeforeValidator(_not_blank), AfterValidator(_relative), WithJsonSchema({"type": "string"})
]
FrozenMap = Annotated[Mapping[K, V], AfterValidator(_read_only), PlainSerializer(dict)]
