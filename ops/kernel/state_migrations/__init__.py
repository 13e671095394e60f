"""The history of the state database's own schema.

Opening compares one row with `REVISIONS`; Alembic is imported only when something is to do.
"""

from __future__ import annotations

REVISIONS = ("0001", "0002")
HEAD = REVISIONS[-1]
