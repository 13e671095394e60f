"""The statements of the audit trail, built once."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from ops.kernel.tables import audit

# What BEGIN IMMEDIATE does in SQLite: one writer until the end of the transaction.
LOCK: Final = sa.text(f"SELECT pg_advisory_xact_lock({int.from_bytes(b'audit', 'big')})")
LAST: Final = sa.select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
# The number of rows tells whether a rule or a trigger swallowed the record.
INSERT: Final = (
    sa.insert(audit)
    .values({each.name: sa.bindparam(each.name) for each in audit.c})
    .execution_options(preserve_rowcount=True)
)


def newest(limit: int, before: int | None) -> sa.Select[Any]:
    """Return the query for a page of records, newest first."""
    query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    return query if before is None else query.where(audit.c.sequence < before)


def oldest(limit: int, after: int | None) -> sa.Select[Any]:
    """Return the query for a batch of records in the order of the chain."""
    query = sa.select(audit).order_by(audit.c.sequence).limit(limit)
    return query if after is None else query.where(audit.c.sequence > after)
