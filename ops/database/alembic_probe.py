"""Print the revisions of an Alembic project, and which a database has, as JSON; the application's Python runs it."""

import hashlib
import json
import pathlib
import sys
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

config = Config(sys.argv[1])
script = ScriptDirectory.from_config(config)
current: list[str] = []


def look(revision: Any, _context: Any) -> list[Any]:
    """Note what the database has and change nothing."""
    current.extend([revision] if isinstance(revision, str) else revision)
    return []


def describe(each: Any) -> dict[str, Any]:
    """Return what is known of a revision without running it."""
    path = pathlib.Path(each.path)
    content = path.read_bytes()
    text = content.decode(errors="replace")
    return {
        "id": each.revision,
        "title": each.doc or "",
        "breaks_old": bool(getattr(each.module, "invops_breaks_old", False)),
        "checksum": hashlib.sha256(content).hexdigest(),
        "file": path.name,
        "text": text,
        # Alembic commits what came before such a block, so a failure leaves it behind.
        "transactional": "autocommit_block" not in text,
    }


if sys.argv[2:] != ["files"]:  # else no database is asked
    with EnvironmentContext(config, script, fn=look, dont_mutate=True):
        script.run_env()
everything = list(script.walk_revisions())
by_id = {each.revision: each for each in everything}
missing = [each for each in current if each not in by_id]
applied: set[str] = set()
stack = [each for each in current if each in by_id]
while stack:
    one = stack.pop()
    if one not in applied:
        applied.add(one)
        each = by_id[one]
        for before in (each.down_revision, each.dependencies):
            stack.extend([before] if isinstance(before, str) else before or ())
print()
print(
    json.dumps(
        {
            "heads": list(script.get_heads()),
            "current": current,
            "missing": missing,
            "revisions": [
                {**describe(each), "applied": each.revision in applied}
                for each in reversed(everything)
            ],
        }
    )
)
