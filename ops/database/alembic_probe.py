"""Print the pending revisions of an Alembic project as one line of JSON; run by the application's interpreter."""

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


with EnvironmentContext(config, script, fn=look, dont_mutate=True):
    script.run_env()
applied = (
    {each.revision for each in script.iterate_revisions(tuple(current), "base")}
    if current
    else set()
)
waiting = [each for each in script.walk_revisions() if each.revision not in applied]
print()
print(
    json.dumps(
        [
            {
                "id": each.revision,
                "title": each.doc or "",
                "breaks_old": bool(getattr(each.module, "invops_breaks_old", False)),
                "checksum": hashlib.sha256(pathlib.Path(each.path).read_bytes()).hexdigest(),
            }
            for each in reversed(waiting)
        ]
    )
)
