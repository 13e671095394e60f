"""The state database: SQLite in `.ops/`, or PostgreSQL for a team.

Everything that speaks SQL to it is in this package; `journal` and `audit` say what it means.
"""

from __future__ import annotations

from ops.kernel.store.state import State, open_state

__all__ = ["State", "open_state"]
