"""List every setting with its value and where it came from; secrets are masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, SecretStr

from ops.kernel import redact
from ops.kernel.settings.document import dotted
from ops.kernel.settings.lines import KeyPath
from ops.kernel.settings.models import Settings, Source

JsonValue = str | int | float | bool | list[str] | None
_OWN: Final = frozenset({"folder", "name", "sources", "ignored"})


@dataclass(frozen=True)
class Value:
    """A setting.

    Args:
        key: Its dotted key.
        value: What it is, safe to show.
        source: Where it came from.
    """

    key: str
    value: JsonValue
    source: Source


def values(settings: Settings) -> list[Value]:
    """Return every setting that counts in the chosen environment, in the order of ops.toml."""
    found = []
    for path, value in _walk((), settings):
        outside = path[0] == "environments" and path[1] != settings.name
        if not outside and path[0] not in _OWN:
            key = dotted(path)
            found.append(Value(key, value, settings.sources.get(key, Source("default"))))
    return found


def _walk(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, JsonValue]]:
    if isinstance(value, BaseModel):
        for name, each in value:
            yield from _walk((*path, name), each)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _walk((*path, str(name)), each)
    else:
        yield path, _shown(value)


def _shown(value: object) -> JsonValue:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return redact.mask_url(text) if "://" in text else redact.MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple):
        return [redact.text(str(each)) for each in value]
    return redact.text(str(value))
