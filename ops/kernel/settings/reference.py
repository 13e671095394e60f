"""The JSON schema of ops.toml for editors, and the reference in docs/configuration.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ops.kernel.settings import document, models
from ops.kernel.settings.model import Model
from ops.kernel.settings.variables import VARIABLES

_INTRODUCTION: Final = """\
# Configuration

<!-- Written by ops/kernel/settings/reference.py; a test says how when it is not current. -->

An application is described by one file, `ops.toml`. invops looks for it in the current folder and above.
`inv config.show` prints each value with its source, `inv config.check` every fault with file and line,
`inv config.schema` a JSON schema:
```
inv config.schema > ops.schema.json     # then the first line of ops.toml: #:schema ./ops.schema.json
```
An unknown key is a fault. Paths are relative to `app.root`, which is relative to the folder of ops.toml,
and stay inside that folder.

**Environment**: `--env`, then the variable `ENVIRONMENT`, then `app.default_environment`.

**Secrets** are references: `env:NAME` is a variable of the process that runs invops, `file:PATH` a file
that others cannot read, relative to the folder of ops.toml. A secret has at least 6 characters, so that it
can be hidden wherever output goes.
"""
_VARIABLES: Final = """\
## Variables

They win over ops.toml. Yes and no are `true`, `false`, `1`, `0`, `yes`, `no`, `on`, `off`. An unknown
variable that begins with `OPS_` is a fault.

Those marked with * point at a service: they apply only when `ENVIRONMENT` is unset or names the chosen
environment, and never to a protected one. `inv config.show` says which were not used and why.

| variable | meaning |
|---|---|
"""
_TITLES: Final = {name: f"[{name}.NAME]" for name in document.GROUPS}


def schema() -> dict[str, Any]:
    """Return the JSON schema of ops.toml."""
    made = models.Document.model_json_schema()
    _refuse_other_names(made)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "ops.toml"}


def markdown() -> str:
    """Return the text of docs/configuration.md."""
    parts = [_INTRODUCTION]
    every: Mapping[str, type[Model]] = {**document.SECTIONS, **document.GROUPS}
    for name in models.Document.model_fields:
        title = _TITLES.get(name, f"[{name}]")
        parts.append("\n".join(_section(title, every[name])) + "\n")
        parts += ["\n".join(_section(*each)) + "\n" for each in _tables(title, every[name])]
    rows = [f"| `{each.name}`{' *' if each.points else ''} | {each.help} |" for each in VARIABLES]
    return "\n".join([*parts, _VARIABLES + "\n".join(rows)]) + "\n"


def _refuse_other_names(schema: object) -> None:
    """Complete what pydantic leaves open: a key that does not match the pattern of a table's keys."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for each in schema.values():
            _refuse_other_names(each)


def _section(title: str, model: type[Model]) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{_joined(model.__doc__ or '')}\n"
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _default(field.default)
        meaning = _joined(properties[name].get("description", ""))
        yield f"| `{name}` | {_kind(properties[name])} | {default} | {meaning} |"


def _tables(title: str, model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    """Yield the tables inside a section."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Model):
            yield f"{title.removesuffix(']')}.{name}]", inner


def _joined(text: str) -> str:
    return " ".join(text.split())


def _default(value: object) -> str:
    if value is PydanticUndefined or value in ("", None, {}) or isinstance(value, BaseModel):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{json.dumps(value, default=str)}`"


def _kind(schema: Mapping[str, Any]) -> str:
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(options) == 1:
        return _kind(options[0])
    if any(each["type"] == "number" for each in options):
        return "duration"
    if options:
        return " or ".join(map(_kind, options))
    if "$ref" in schema:
        return "table"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if schema["type"] in ("integer", "number"):
        return f"{int(schema['minimum'])} to {int(schema['maximum'])}"
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'])}"
    return {"string": "text", "boolean": "true, false", "object": "table"}[schema["type"]]
