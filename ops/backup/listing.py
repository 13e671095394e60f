"""`inv backup.list`: what backups there are, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ops.backup import catalog, make, measures, storage
from ops.backup.catalog import Catalog
from ops.backup.manifest import Manifest
from ops.kernel.context import Context
from ops.kernel.report import Report, Table

_COLUMNS = ("backup", "age", "size", "encrypted", "tables", "rows", "for", "proof")


def backups(context: Context) -> Report:
    """Return the backups of the environment, newest first."""
    store = storage.of(context)
    found = catalog.look(store)
    name = context.settings.name
    facts = {"where": store.where, **_troubles(found)}
    newest = found.complete[0] if found.complete else None
    hints: tuple[str, ...] = ()
    if newest is None:
        hints = (f"inv backup --env {name}",)
    elif newest.proof is None:
        hints = (f"prove the newest: inv backup.verify --env {name}",)
    total = measures.size(sum(each.size for each in found.complete))
    count = len(found.complete)
    return Report(
        f"{count} backup{'' if count == 1 else 's'}, {total}" if count else f"{name} has no backup",
        tables=(Table(_COLUMNS, [_row(each) for each in found.complete]),) if count else (),
        facts=facts,
        hints=hints,
        data={
            "where": store.where,
            "backups": [_data(each) for each in found.complete],
            "damaged": {id: str(error) for id, error in found.damaged.items()},
            "without_manifest": [each.name for each in found.without_manifest],
            "without_archive": list(found.without_archive),
            "other_size": list(found.odd),
        },
    )


def _row(manifest: Manifest) -> tuple[str, ...]:
    return (
        manifest.id,
        measures.age(manifest.created),
        measures.size(manifest.size),
        "yes" if manifest.recipients else "no",
        str(len(manifest.inventory.tables)),
        str(make.rows(manifest)),
        " ".join(filter(None, (manifest.purpose, manifest.release))),
        _proof(manifest),
    )


def _proof(manifest: Manifest) -> str:
    newest = manifest.proofs[-1] if manifest.proofs else None
    if newest is None:
        return "none"
    return f"{newest.verdict} {newest.level}, {measures.age(newest.at)} ago"


def _data(manifest: Manifest) -> dict[str, Any]:
    body = asdict(manifest)
    inventory = body.pop("inventory")
    return {
        **body,
        "tables": len(inventory["tables"]),
        "rows": make.rows(manifest),
        "server_version": inventory["server_version"],
        "proved": manifest.proved,
    }


def _troubles(found: Catalog) -> dict[str, str]:
    """Return what is wrong, a line for each kind."""
    lines = {
        "damaged manifest": [str(error) for error in found.damaged.values()],
        "incomplete, no manifest": [each.name for each in found.without_manifest],
        "incomplete, no archive": found.without_archive,
        "size differs from manifest": found.odd,
    }
    return {what: _named(names) for what, names in lines.items() if names}


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
