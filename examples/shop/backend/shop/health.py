"""Is this process fit for traffic: the database answers, its schema is not behind this release."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

PATIENCE_SECONDS = 3.0
ALEMBIC = Path(__file__).parents[1] / "alembic.ini"
log = logging.getLogger("shop.health")


@dataclass(frozen=True)
class Readiness:
    """What was found.

    Args:
        version: Release of this process.
        database: `ok` or `unreachable`.
        pending: Migrations of this release that the database lacks, oldest first.
    """

    version: str
    database: str
    pending: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether traffic may come."""
        return self.database == "ok" and not self.pending

    def json(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {
            "status": "ready" if self.ready else "not ready",
            "version": self.version,
            "database": self.database,
            "pending_migrations": self.pending,
        }


@cache
def history() -> tuple[str, ...]:
    """Return the revisions of this release, oldest first."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC))
    return tuple(reversed([script.revision for script in scripts.walk_revisions()]))


def behind(current: str | None) -> list[str]:
    """Return the revisions after `current`, oldest first.

    A revision that this release does not know is a newer release's: the old release goes on
    serving while a deploy has migrated and not yet switched, and after a rollback.
    """
    known = history()
    if current is None:
        return list(known)
    return list(known[known.index(current) + 1 :]) if current in known else []


async def check(engine: AsyncEngine, version: str) -> Readiness:
    """Ask the database, for at most three seconds."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
            exists = text("SELECT to_regclass('alembic_version') IS NOT NULL")
            current = None
            if (await connection.execute(exists)).scalar_one():
                revision = text("SELECT version_num FROM alembic_version")
                current = (await connection.execute(revision)).scalar_one_or_none()
    except (SQLAlchemyError, TimeoutError, OSError) as error:
        log.warning("database unreachable", extra={"reason": str(error).split("\n", 1)[0]})
        return Readiness(version, "unreachable")
    return Readiness(version, "ok", behind(current))
