"""Migrations of an application's schema: Alembic, or a folder of SQL files (also the Supabase layout).

`model` says what they are, `files` and `alembic` read them, `ledger` knows which a database has, `running` applies them
under `lock`, `obstacles` names what is in the way, `status` and `preview` show them.
"""

from __future__ import annotations

from ops.database.migrations.model import Entry, Migration, Source
from ops.database.migrations.running import apply, batches, entries, pending

__all__ = ["Entry", "Migration", "Source", "apply", "batches", "entries", "pending"]
