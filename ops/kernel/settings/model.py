"""What every section of ops.toml is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Give each key of a schema the text that stands below it in the source.

    Only when a schema is made: `use_attribute_docstrings` reads the source at the start of each command.
    """
    import ast
    import inspect

    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    for key, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(key, ast.AnnAssign) and isinstance(below, ast.Expr):
            name = ast.unparse(key.target)
            schema["properties"][name]["description"] = inspect.cleandoc(
                ast.literal_eval(below.value)
            )


class Model(BaseModel):
    """A section: frozen, and an unknown key is a fault."""

    # What validates is built when the first document is: once for all sections, not for each.
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=_describe, defer_build=True
    )
