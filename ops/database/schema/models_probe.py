"""Print the statements that make the tables of SQLAlchemy metadata, as JSON; run by the application's interpreter."""

import importlib
import json
import sys
from typing import Any

made: list[str] = []


def wanted(name: str) -> Any:
    """Return the metadata that "package.module:Base.metadata" names."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return getattr(found, "metadata", found)


def keep(statement: Any, *_: Any, **__: Any) -> None:
    """Take a statement in place of a server."""
    made.append(str(statement.compile(dialect=engine.dialect)))


try:
    from sqlalchemy import MetaData, create_mock_engine

    metadata = wanted(sys.argv[1])
    if not isinstance(metadata, MetaData):
        raise TypeError(f"it is {type(metadata).__name__}, not MetaData")
    # Another style of parameters would double each percent sign.
    engine = create_mock_engine("postgresql://", keep, paramstyle="named")
    metadata.create_all(engine, checkfirst=False)
    answer: dict[str, Any] = {"statements": made}
except Exception as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
print()
print(json.dumps(answer))
