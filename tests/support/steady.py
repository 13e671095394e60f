"""What must be the same after a failed deploy as before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.local import eventually
from tests.support.project import Project

TABLES = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2
"""


def look(project: Project, tables: str, path: str) -> dict[str, Any]:
    """Return everything that a deploy changes: what serves, processes, releases, files and the database."""
    return {
        "answer": project.get(path).json,
        "folders": sorted(each.name for each in (project.own / "releases").iterdir()),
        "releases": [
            each.read_text() for each in (project.own / "releases").glob("*/release.json")
        ],
        "processes": project.processes(),
        "proxy": (project.own / "proxy" / "haproxy.cfg").read_text(),
        "columns": project.query(TABLES),
        "rows": {
            name: project.query(f"SELECT * FROM {name} ORDER BY 1") for name in tables.split()
        },
        "half made": project.half_made(),
    }


@contextmanager
def unchanged(
    project: Project, tables: str = "schema_migrations orders", path: str = "/health"
) -> Iterator[None]:
    """Make sure that a block leaves everything as it was; its last commit and its files are taken back."""
    commit = project.git("rev-parse", "HEAD")
    before = look(project, tables, path)
    try:
        yield
        # A supervisor's answer may be a moment behind the end of a process.
        eventually(lambda: look(project, tables, path) == before, 3)
        after = look(project, tables, path)
        changed = {
            name: (before[name], after[name]) for name in before if before[name] != after[name]
        }
        assert not changed, changed
    finally:
        project.git("reset", "--quiet", "--hard", commit)
        project.git("clean", "--quiet", "--force", "-d", "-x", "--exclude=.ops")
