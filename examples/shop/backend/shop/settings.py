"""What the environment says: the only reader of the process's variables."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Settings of the backend and of the worker.

    Args:
        database_url: `postgresql://…`, as every PostgreSQL tool understands it.
        version: Release that runs; health answers echo it.
        log_level: Name of the lowest level that is logged.
    """

    database_url: str
    version: str
    log_level: str


def load() -> Settings:
    """Read the settings.

    Raises:
        SystemExit: `DATABASE_URL` is missing.
    """
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        raise SystemExit("DATABASE_URL is not set: give the URL of a PostgreSQL database.")
    return Settings(
        database_url=url,
        version=os.environ.get("APP_VERSION") or "development",
        log_level=(os.environ.get("LOG_LEVEL") or "info").upper(),
    )
