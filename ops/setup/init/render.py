"""The text of an ops.toml, with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from ops.setup.init.draft import Section, Value

_HEADER: Final = """\
# What invops knows of this application, proposed by `invops init`: read it once, correct it, commit it.
# Every key: docs/configuration.md of invops; all faults at once: invops config.check
"""
_TITLES: Final = {
    "services": "# Services: with `port` or `route` behind the proxy, else a background process.",
    "environments": "# Places where it runs.",
}


def toml(sections: Sequence[Section]) -> str:
    """Return the file's text."""
    parts = [_HEADER]
    group = ""
    for section in sections:
        now = section.header.partition(".")[0]
        if now != group and now in _TITLES:
            parts.append(f"{_TITLES[now]}\n")
        group = now
        parts.append(_section(section))
    return "\n".join(parts)


def _section(section: Section) -> str:
    lines = [f"[{section.header}]"]
    for key, value in section.values.items():
        remark = section.remarks.get(key, "")
        lines.append(f"{key} = {_value(value)}" + (f" # {_comment(remark)}" if remark else ""))
    if section.off:
        lines = [f"# {line}" for line in (f"Not in use: {_comment(section.off)}.", *lines)]
    lines = [*(f"# {_comment(line)}" for line in section.note.splitlines()), *lines]
    return "\n".join(lines) + "\n"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_text(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return _text(value)


def _text(value: str) -> str:
    """Return a basic string: JSON's escapes are TOML's too, except for DEL and what is no character."""
    escaped = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return escaped.encode(errors="replace").decode()


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _comment(text: str) -> str:
    """Return a text without what a comment may not hold."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text).encode(errors="replace").decode()
