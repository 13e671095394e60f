"""A manifest for tests that need no backup."""

from __future__ import annotations

from typing import Any

from ops.backup.manifest import Inventory, Manifest, Table

ID = "20261121T093000Z-3fa2c1"


def manifest(tables: tuple[Table, ...] = (), **values: Any) -> Manifest:
    """Return a manifest with these tables and values."""
    known: dict[str, Any] = {
        "id": ID,
        "app": "shop",
        "environment": "live",
        "engine": "postgres",
        "database": "shop",
        "created": "2026-11-21T09:30:00+00:00",
        "seconds": 1.0,
        "archive": f"{ID}.dump.zst",
        "size": 10,
        "sha256": "0" * 64,
        "plain_size": 20,
        "plain_sha256": "1" * 64,
        "recipients": (),
        "tool": "pg_dump 15.9",
        "inventory": Inventory("1/1", "15.9", tables),
    }
    return Manifest(**(known | values))
