"""Is what a restore brought what the manifest says? Tables and their counted rows, large objects."""

from __future__ import annotations

from collections.abc import Iterator

from ops.backup.engines import Differs
from ops.backup.manifest import Inventory, Manifest

_NAMED = 5
"""Differences that a message names."""


def check(manifest: Manifest, found: Inventory) -> None:
    """Compare a restored database with the manifest.

    Sequences are no part of it: they move on outside of any snapshot, so a right dump may have other values.

    Args:
        manifest: Of the backup.
        found: What the restored database holds.

    Raises:
        Differs: It is not the same; names the first differences.
    """
    wrong = list(_differences(manifest, found))
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise Differs(f"{'; '.join(wrong[:_NAMED])}{more}")


def _differences(manifest: Manifest, found: Inventory) -> Iterator[str]:
    wanted, there = _rows(manifest, manifest.inventory), _rows(manifest, found)
    for table, rows in wanted.items():
        if table not in there:
            yield f"table {table} is missing"
        elif there[table] != rows:
            yield f"{table} has {there[table]:,} rows, the manifest says {rows:,}"
    for table in there.keys() - wanted.keys():
        yield f"table {table} is not in the manifest"
    if found.large_objects != manifest.inventory.large_objects:
        count = f"{found.large_objects:,} large objects"
        yield f"{count}, the manifest says {manifest.inventory.large_objects:,}"


def _rows(manifest: Manifest, inventory: Inventory) -> dict[str, int]:
    """Return rows by table; the schema of MySQL is the database, whose name is another one here."""
    named = manifest.engine != "mysql"
    return {
        f"{each.schema}.{each.name}" if named else each.name: each.rows for each in inventory.tables
    }
