from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ops.kernel.settings import document, models, reference, values

PROJECT = Path(reference.__file__).parents[3]
UPDATE = (
    'python -c "from ops.kernel.settings import reference as r; print(r.markdown(), end=str())"'
    " > docs/configuration.md"
)


def test_the_reference_in_the_documentation_is_current() -> None:
    written = (PROJECT / "docs" / "configuration.md").read_text()

    assert written == reference.markdown(), f"run: {UPDATE}"


@pytest.mark.parametrize("name", [*document.SECTIONS, *document.GROUPS])
def test_every_key_is_explained(name: str) -> None:
    model = {**document.SECTIONS, **document.GROUPS}[name]

    properties = model.model_json_schema()["properties"]
    assert [key for key in model.model_fields if not properties[key].get("description")] == []
    assert all(f"| `{key}` |" in reference.markdown() for key in model.model_fields)


def test_every_section_of_the_file_is_validated() -> None:
    assert {*document.SECTIONS, *document.GROUPS} == set(models.Document.model_fields)


def _accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Check the few words of JSON schema that pydantic writes for these models."""
    if "$ref" in schema:
        return _accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        return any(_accepts(each, value, root) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if schema["type"] == "object":
        assert schema["additionalProperties"] is False
        if not isinstance(value, dict) or not set(schema.get("required", [])) <= set(value):
            return False
        return all(_accepts_key(schema, key, each, root) for key, each in value.items())
    if schema["type"] == "array":
        return isinstance(value, list) and all(
            _accepts(schema["items"], each, root) for each in value
        )
    if schema["type"] == "string":
        return isinstance(value, str) and bool(re.search(schema.get("pattern", ""), value))
    kinds: dict[str, Any] = {
        "integer": int,
        "boolean": bool,
        "number": (int, float),
        "null": type(None),
    }
    return isinstance(value, kinds[schema["type"]])


def _accepts_key(schema: dict[str, Any], key: str, value: Any, root: dict[str, Any]) -> bool:
    for pattern, each in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return _accepts(each, value, root)
    known = schema.get("properties", {})
    return key in known and _accepts(known[key], value, root)


@pytest.mark.parametrize("file", ["ops.toml", "tests/integration/apps/ledger/ops.toml"])
def test_the_schema_accepts_our_own_files(file: str) -> None:
    made = reference.schema()

    assert _accepts(made, tomllib.loads((PROJECT / file).read_text()), made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[app]\nname = "A"\n[environments.a]\ntarget = "local"',
        '[app]\nname = "a"\ncolour = "x"\n[environments.a]\ntarget = "local"',
        '[app]\nname = "a"\n[environments.A]\ntarget = "local"',
        '[app]\nname = "a"\n[environments.a]\ntarget = "moon"',
        '[app]\nname = "a"\n[environments.a]\ntarget = "local"\n[services.a]\nstop_timeout = "1 day"',
    ],
)
def test_the_schema_refuses_wrong_files(text: str) -> None:
    made = reference.schema()

    assert not _accepts(made, tomllib.loads(text), made)


def test_the_schema_names_its_kind() -> None:
    made = reference.schema()

    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["title"] == "ops.toml"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("35s", 35), ("2m", 120), ("1h", 3600), ("1.5 m", 90), (" 10s ", 10), (30, 30), (0.5, 0.5), ("24h", 86400)],
)  # fmt: skip
def test_durations_are_seconds(value: object, expected: float) -> None:
    assert values.seconds(value) == expected
